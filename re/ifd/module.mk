# ifls: readers of `interfaces` and `security zones`, used by ifd, nsd and ikemd.
libraries += ifls
lib-ifls-src := re/ifd/ifl.c re/nsd/zone.c
lib-ifls-pkg := glib

programs += vc-ifd
vc-ifd-src := re/ifd/main.c re/ifd/table.c re/ifd/host.c re/ifd/device.c re/ifd/netlink.c \
	re/ifd/punt.c re/ifd/member.c re/ifd/show.c
vc-ifd-use := ifls shell conf firmware
vc-ifd-pkg := glib gio threads

unit-tests += ifd-test
ifd-test-src := tests/unit/ifd/table_test.c tests/unit/ifd/netlink_test.c re/ifd/table.c \
	re/ifd/netlink.c
ifd-test-use := ifls conf firmware
ifd-test-pkg := glib

exchange-tests += ifd-bench
ifd-bench-src := tests/exchange/ifd_test.c
ifd-bench-use := conf firmware
ifd-bench-pkg := glib

fuzzers += netlink_neighbour
netlink_neighbour-src := tests/fuzz/netlink_neighbour.c re/ifd/netlink.c
netlink_neighbour-use := firmware
netlink_neighbour-pkg := glib
