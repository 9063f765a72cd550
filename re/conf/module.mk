libraries += conf
lib-conf-src := re/conf/conf.c re/conf/serialise.c
lib-conf-pkg := glib

unit-tests += conf-test
conf-test-src := tests/unit/conf/conf_test.c
conf-test-use := conf firmware
conf-test-pkg := glib

fuzzers += conf_tree
conf_tree-src := tests/fuzz/conf_tree.c
conf_tree-use := conf firmware
conf_tree-pkg := glib
