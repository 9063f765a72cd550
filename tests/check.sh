#!/bin/sh
# check.sh STAGE... - run the stages of `make check` and add up what they say.
#
# Every stage prints its runner's own output; results are added up from Criterion's "Synthesis"
# lines and from "N passed, N failed, N skipped" lines of everything else. The last line is the sum.
set -u
S=${S:?} B=${B:?}
passed=0 failed=0 skipped=0
seconds=${FUZZ_SECONDS:-5}
[ "${CI:-}" = true ] && seconds=${FUZZ_SECONDS:-60}
jobs=$(nproc 2> /dev/null || echo 1)
mkdir -p "$B/check"

add() { # passed failed skipped
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}
one() { # result name [reason]
    case $1 in
    ok) add 1 0 0; echo "ok      $2" ;;
    fail) add 0 1 0; echo "FAILED  $2${3:+: $3}" ;;
    skip) add 0 0 1; echo "skipped $2${3:+: $3}" ;;
    esac
}

criterion() { # directory, prefix, names...
    dir=$1 prefix=$2
    shift 2
    if [ "$HAVE_CRITERION" != yes ]; then
        one skip "$prefix tests" "Criterion is not installed (configure --install-deps=test)"
        return
    fi
    for t in "$@"; do
        out=$B/check/$prefix-$t.log
        ASAN_OPTIONS=detect_leaks=${LEAKS:-1}:abort_on_error=0 timeout 300 "$dir/$t" --jobs "$jobs" > "$out" 2>&1
        status=$?
        line=$(grep -a 'Synthesis:' "$out" | tail -n 1 | sed 's/\x1b\[[0-9;]*m//g')
        if [ -z "$line" ]; then
            tail -n 30 "$out"
            one fail "$prefix $t" "ended with status $status before its summary"
            continue
        fi
        set_ok=$(echo "$line" | sed 's/.*Passing: \([0-9]*\).*/\1/')
        bad=$(echo "$line" | sed 's/.*Failing: \([0-9]*\) .*Crashing: \([0-9]*\).*/\1 \2/' | awk '{print $1 + $2}')
        skips=$(grep -a -c 'SKIP' "$out")
        [ "$skips" -gt 0 ] && grep -a 'SKIP' "$out"
        if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
            bad=1
        fi
        add "$set_ok" "$bad" "$skips"
        echo "$prefix $t: $line"
        [ "$bad" -eq 0 ] || grep -a -v '^\[ \(PASS\|RUN \)' "$out" | tail -n 60
    done
}

san_build() {
    [ -n "${san_done:-}" ] && return $san_status
    san_done=yes
    mkdir -p "$B/san"
    top=$(cd "$S" && pwd)
    (cd "$B/san" && CC="$CC" CFLAGS='-O1 -g' "$top/configure" --enable-sanitizers > configure.out 2>&1 &&
        $MAKE -j"$jobs" programs tests fuzz > make.out 2>&1)
    san_status=$?
    if [ $san_status -ne 0 ]; then
        tail -n 20 "$B/san/configure.out" "$B/san/make.out" 2> /dev/null
        one fail "sanitizer build"
    fi
    return $san_status
}

tally() { # log: the last "N passed, N failed, N skipped" line of a runner
    line=$(grep -a -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$1" | tail -n 1)
    if [ -z "$line" ]; then
        tail -n 20 "$1"
        one fail "$2" "ended before its summary"
        return
    fi
    add $(echo "$line" | sed 's/[^0-9 ]//g')
}

scenarios() { # bin-directory, label, path...
    bin=$1 label=$2
    shift 2
    out=$B/check/$label.log
    "$bin/vchassis" test "$@" -j "$jobs" --artifacts "$B/check/$label" --junit "$B/check/$label.xml" > "$out" 2>&1
    cat "$out" | grep -a -v -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'
    tally "$out" "$label"
}

for stage in "$@"; do
    echo "== $stage"
    case $stage in
    style) sh "$S/tests/style.sh" "$S" > "$B/check/style.log" 2>&1; grep -a -v -E ' passed, ' "$B/check/style.log"; tally "$B/check/style.log" style ;;
    layers) sh "$S/tests/layers.sh" "$S" > "$B/check/layers.log" 2>&1; grep -a -v -E ' passed, ' "$B/check/layers.log"; tally "$B/check/layers.log" layers ;;
    clang)
        if command -v clang > /dev/null; then
            mkdir -p "$B/clang"
            top=$(cd "$S" && pwd)
            if (cd "$B/clang" && CC=clang "$top/configure" --enable-werror > configure.out 2>&1 &&
                $MAKE -j"$jobs" programs > make.out 2>&1); then
                one ok "clang -Werror build"
            else
                tail -n 30 "$B/clang/make.out"
                one fail "clang -Werror build"
            fi
        else
            one skip "clang build" "clang is not installed (configure --install-deps=test)"
        fi ;;
    unit) criterion "$B/tests" unit $UNIT ;;
    exchange) criterion "$B/tests" exchange $EXCHANGE ;;
    fuzz)
        san_build || continue
        for f in $FUZZERS; do
            (
                corpus=$S/tests/fuzz/corpus/$f
                [ -d "$corpus" ] || corpus=
                if ASAN_OPTIONS=detect_leaks=0 "$B/san/build/fuzz/$f" -s "$seconds" $corpus > "$B/check/fuzz-$f.log" 2>&1; then
                    echo ok > "$B/check/fuzz-$f.result"
                else
                    echo fail > "$B/check/fuzz-$f.result"
                fi
            ) &
            running=$((${running:-0} + 1))
            if [ "$running" -ge "$jobs" ]; then
                wait
                running=0
            fi
        done
        wait
        for f in $FUZZERS; do
            if [ "$(cat "$B/check/fuzz-$f.result")" = ok ]; then
                one ok "fuzz $(tail -n 1 "$B/check/fuzz-$f.log")"
            else
                tail -n 40 "$B/check/fuzz-$f.log"
                one fail "fuzz $f" "the input is in $B/san/build/fuzz/$f.input"
            fi
        done ;;
    scenarios) scenarios "$B/bin" scenarios "$S/tests/scenarios" ;;
    interop) scenarios "$B/bin" interop "$S/tests/interop" ;;
    sanitizers)
        san_build || continue
        criterion "$B/san/build/tests" san-unit $UNIT
        criterion "$B/san/build/tests" san-exchange $EXCHANGE
        rm -rf "$B/check/san-scenarios"
        scenarios "$B/san/build/bin" san-scenarios "$S/tests/scenarios"
        # Boards and daemons report into their node's log, which the artifacts hold.
        reports=$(grep -raE -A 8 'ERROR: (Address|Leak)Sanitizer|: runtime error:' "$B/check/san-scenarios" | head -n 60)
        if [ -n "$reports" ]; then
            echo "$reports"
            one fail "sanitizer reports of boards and daemons"
        else
            one ok "no sanitizer report in the logs of boards and daemons"
        fi ;;
    *) echo "check.sh: $stage: unknown stage" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
