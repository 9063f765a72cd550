programs += vc-nsd
vc-nsd-src := re/nsd/main.c re/nsd/security.c re/nsd/policy.c re/nsd/application.c
vc-nsd-use := ifls shell conf firmware
vc-nsd-pkg := glib

unit-tests += nsd-test
nsd-test-src := tests/unit/nsd/security_test.c re/nsd/security.c re/nsd/policy.c \
	re/nsd/application.c
nsd-test-use := ifls conf firmware
nsd-test-pkg := glib
