#!/bin/sh
# bench.sh - run the benches, print a table, write build/bench.json.
#
# A bench prints one JSON object a line: {"name","value","unit","yardstick","ratio","target"};
# other lines are shown as they are. A target applies to `ratio` where there is one, else to `value`.
set -u
S=${S:?} B=${B:?}
: > "$B/bench.lines"
for b in $BENCHES; do
    echo "# $b" >&2
    "$B/perf/$b" | tee -a "$B/bench.lines" | grep -v '^{' >&2
done
for script in "$S"/tests/perf/*.bench; do
    [ -e "$script" ] || continue
    echo "# $(basename "$script" .bench)" >&2
    S="$S" B="$B" sh "$script" | tee -a "$B/bench.lines" | grep -v '^{' >&2
done
grep '^{' "$B/bench.lines" | awk 'BEGIN {print "["} {if (NR > 1) print ","; printf "  %s", $0} END {print "\n]"}' > "$B/bench.json"
awk '
function field(name,   m) {
    if (match($0, "\"" name "\": *(\"[^\"]*\"|[^,}]*)")) {
        m = substr($0, RSTART, RLENGTH)
        sub("\"" name "\": *", "", m)
        gsub(/"/, "", m)
        return m
    }
    return ""
}
BEGIN { printf "%-22s %12s %-10s %12s %8s %8s  %s\n", "name", "value", "unit", "yardstick", "ratio", "target", "met" }
/^\{/ {
    t = field("target"); r = field("ratio"); v = (r != "" && r != "null") ? r : field("value")
    met = "-"
    if (t ~ /^>=/) met = (v + 0 >= substr(t, 3) + 0) ? "yes" : "NO"
    else if (t ~ /^<=/) met = (v + 0 <= substr(t, 3) + 0) ? "yes" : "NO"
    y = field("yardstick")
    y = (y == "" || y == "null") ? "-" : sprintf("%.4g", y)
    r = (r == "" || r == "null") ? "-" : sprintf("%.3g", r)
    printf "%-22s %12.4g %-10s %12s %8s %8s  %s\n", field("name"), field("value"), field("unit"), y, r, t, met
}' "$B/bench.lines"
