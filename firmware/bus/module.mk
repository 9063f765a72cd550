lib-firmware-src += firmware/bus/codec.c firmware/bus/port.c firmware/bus/conn.c firmware/bus/router.c

unit-tests += bus-test
bus-test-src := tests/unit/bus/codec_test.c tests/unit/bus/router_test.c
bus-test-use := firmware
bus-test-pkg := glib

fuzzers += bus_decode bus_frame
bus_decode-src := tests/fuzz/bus_decode.c
bus_decode-use := firmware
bus_decode-pkg := glib
bus_frame-src := tests/fuzz/bus_frame.c
bus_frame-use := firmware
bus_frame-pkg := glib
