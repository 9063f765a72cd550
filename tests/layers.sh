#!/bin/sh
# layers.sh TOP - the walls between the rooms: who may include whom.
cd "$1" || exit 2
passed=0 failed=0
rule() { # what, folders, forbidden include pattern
    hits=$(grep -rnE --include='*.[ch]' "#include *[\"<](\.\./)*($3)/" $2 2> /dev/null)
    if [ -n "$hits" ]; then
        echo "$hits"
        echo "FAILED  $1"
        failed=$((failed + 1))
    else
        echo "ok      $1"
        passed=$((passed + 1))
    fi
}
rule "firmware includes nobody else" firmware 'hw|re|spc|cluster|tests'
rule "re, spc and cluster never include hw" "re spc cluster" hw
rule "spc does not include re" spc 're|cluster'
rule "re does not include spc" re spc
rule "hw does not include re, spc or cluster" hw 're|spc|cluster'
hits=$(grep -rnE --include='*.[ch]' '#include *"\.\./' firmware hw re spc cluster tests)
if [ -n "$hits" ]; then
    echo "$hits"
    echo "FAILED  includes are written from the top of the tree"
    failed=$((failed + 1))
else
    echo "ok      includes are written from the top of the tree"
    passed=$((passed + 1))
fi
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
