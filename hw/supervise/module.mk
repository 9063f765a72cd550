# supervise: a node's boards, followed from power-on to their end
lib-box-src += hw/supervise/life.c hw/supervise/node.c hw/supervise/relay.c \
	hw/supervise/report.c hw/supervise/start.c hw/supervise/wire.c

unit-tests += supervise-test
supervise-test-src := tests/unit/supervise/node_test.c tests/unit/supervise/relay_test.c \
	hw/host/mock_host.c
supervise-test-use := box model lab firmware
supervise-test-pkg := gobject glib yaml
