libraries += placement
lib-placement-src := re/ikemd/placement/placement.c
lib-placement-pkg := glib

unit-tests += placement-test
placement-test-src := tests/unit/ikemd/placement_test.c
placement-test-use := placement firmware
placement-test-pkg := glib
