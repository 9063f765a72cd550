programs += vc-chassisd
vc-chassisd-src := re/chassisd/main.c re/chassisd/chassis.c re/chassisd/show.c
vc-chassisd-use := shell conf firmware
vc-chassisd-pkg := glib

unit-tests += chassisd-test
chassisd-test-src := tests/unit/chassisd/chassis_test.c re/chassisd/chassis.c
chassisd-test-use := firmware
chassisd-test-pkg := glib
