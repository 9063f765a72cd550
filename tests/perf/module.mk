# The yardstick of boot.bench; run by it, not by bench.sh itself.
bench-tools += bare-boot
bare-boot-src := tests/perf/bare_boot.c
bare-boot-pkg := glib crypto ipsecmb seccomp
