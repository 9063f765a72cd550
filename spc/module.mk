libraries += spc
lib-spc-src := spc/flow/view.c spc/flow/lpm.c spc/flow/store.c spc/flow/tables.c \
	spc/flow/policy.c spc/flow/session.c spc/flow/lane.c spc/flow/path.c spc/flow/first.c \
	spc/flow/forward.c spc/flow/hold.c spc/flow/icmp.c spc/flow/split.c spc/cp/cp.c \
	spc/ipsec/replay.c spc/ipsec/engine.c spc/ipsec/engine-mb.c spc/ipsec/engine-openssl.c \
	spc/ipsec/sa.c spc/ipsec/slab.c spc/ipsec/esp-out.c spc/ipsec/esp-in.c
lib-spc-pkg := glib crypto ipsecmb

programs += vc-spcd
vc-spcd-src := spc/main.c spc/control.c spc/worker.c spc/show.c
vc-spcd-use := spc fwcrypto firmware

unit-tests += spc_test
spc_test-src := tests/unit/spc/world.c tests/unit/spc/packet.c tests/unit/spc/flow_test.c tests/unit/spc/tables_test.c \
	tests/unit/spc/split_test.c tests/unit/spc/replay_test.c tests/unit/spc/esp_test.c
spc_test-use := spc fwcrypto firmware

exchange-tests += bench_spc
bench_spc-src := tests/bench/spc/bench.c tests/bench/spc/spc_test.c tests/unit/spc/packet.c
bench_spc-use := spc fwcrypto firmware

benches += esp
esp-src := tests/perf/esp.c
esp-use := spc fwcrypto firmware

fuzzers += esp_in flow_packet
esp_in-src := tests/fuzz/esp_in.c tests/unit/spc/world.c tests/unit/spc/packet.c
esp_in-use := spc fwcrypto firmware
flow_packet-src := tests/fuzz/flow_packet.c tests/unit/spc/world.c tests/unit/spc/packet.c
flow_packet-use := spc fwcrypto firmware
