programs += vc-re
vc-re-src := re/supervisor/main.c re/supervisor/daemons.c
vc-re-use := firmware
vc-re-pkg := glib seccomp

unit-tests += supervisor-test
supervisor-test-src := tests/unit/supervisor/policy_test.c re/supervisor/daemons.c
supervisor-test-use := firmware
supervisor-test-pkg := glib

# Runs build/bin/vc-re.
exchange-tests += re-test
re-test-src := tests/exchange/supervisor/supervisor_test.c
re-test-use := firmware
re-test-pkg := glib
