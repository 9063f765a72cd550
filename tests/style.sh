#!/bin/sh
# style.sh TOP - what docs call conventions and a script can see.
cd "$1" || exit 2
passed=0 failed=0
rule() { # what, offending lines
    if [ -n "$2" ]; then
        echo "$2" | head -n 20
        echo "FAILED  $1"
        failed=$((failed + 1))
    else
        echo "ok      $1"
        passed=$((passed + 1))
    fi
}
code='firmware hw re spc cluster tests'
c_files=$(find $code -name '*.[ch]' 2> /dev/null | sort)
rule "files stay under 800 lines" "$(wc -l $c_files tests/*.sh tests/*/*.lua configure Makefile.in 2> /dev/null | awk '$2 != "total" && $1 >= 800')"
rule "four spaces, no tabs" "$(grep -nP '^ *\t' $c_files)"
rule "lines of 100 columns at most" "$(awk 'length($0) > 100 {print FILENAME ":" FNR ": " length($0) " columns"}' $c_files)"
rule "no trailing blanks" "$(grep -nE '[[:blank:]]+$' $c_files)"
rule "a file begins by saying what it is" "$(for f in $c_files; do head -n 1 "$f" | grep -q '^/\*' || echo "$f"; done)"
rule "time only through firmware/core" "$(grep -nE '\b(clock_gettime|gettimeofday|g_get_monotonic_time|g_get_real_time|time)\((NULL|CLOCK|0|&|\))' $c_files | grep -vE '^(firmware/core/|tests/)')"
rule "nobody sleeps" "$(grep -nE '\b(sleep|usleep|nanosleep|g_usleep) *\(' $c_files | grep -v '^firmware/core/')"
rule "chance only through firmware/core" "$(grep -nE '(^|[^>.[:alnum:]_])(rand|random|srand|getrandom|RAND_bytes|g_random_[a-z0-9_]+)\(' $c_files | grep -v '^firmware/core/')"
rule "no dangerous calls" "$(grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|tmpnam|mktemp|alloca)\(' $c_files)"
rule "no shell behind our back" "$(grep -nE '\b(system|popen)\(' $c_files)"
rule "nothing called util" "$(find $code -name 'util*')"
rule "every folder with code has a module.mk" "$(for f in $(printf '%s\n' $c_files | grep -vE '^tests/' | xargs -n 1 dirname | sort -u); do
    d=$f; while [ "$d" != . ] && [ ! -e "$d/module.mk" ]; do d=$(dirname "$d"); done; [ "$d" = . ] && echo "$f"; done)"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
