# monitor: JSON lines; the transport is the lab daemon's
lib-box-src += hw/monitor/line.c hw/monitor/monitor.c hw/lab/server.c

unit-tests += monitor-test
monitor-test-src := tests/unit/monitor/line_test.c
monitor-test-use := box model lab firmware
monitor-test-pkg := gobject glib yaml

fuzzers += monitor_line
monitor_line-src := tests/fuzz/monitor_line.c
monitor_line-use := box model lab firmware
monitor_line-pkg := gobject glib yaml
