libraries += shell
lib-shell-src := re/shell/shell.c re/shell/rpc.c re/shell/xml.c
lib-shell-pkg := glib

unit-tests += shell-test
shell-test-src := tests/unit/shell/xml_test.c
shell-test-use := shell conf firmware
shell-test-pkg := glib
