lib-firmware-src += firmware/fabric/attach.c firmware/fabric/datagram.c firmware/fabric/lane.c \
	firmware/fabric/outbox.c firmware/fabric/wait.c

unit-tests += fabric_test
fabric_test-src := tests/unit/fabric/fabric_test.c tests/unit/fabric/transport_test.c
fabric_test-use := firmware

benches += fabric_64
fabric_64-src := tests/perf/fabric_64.c
fabric_64-use := firmware
