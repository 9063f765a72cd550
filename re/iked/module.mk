programs += vc-iked
vc-iked-src := re/iked/main.c re/iked/cards.c re/iked/clear.c re/iked/config.c re/iked/keys.c \
    re/iked/port.c re/iked/records.c re/iked/show-ike.c re/iked/show-ipsec.c re/iked/statistics.c \
    re/iked/tunnel.c
vc-iked-use := ike shell conf fwcrypto firmware
vc-iked-pkg := glib crypto

# iked alone between a bus, an ikemd and a card: tests/interop/iked-strongswan.sh
bench-tools += iked-bench
iked-bench-src := tests/interop/iked-bench.c
iked-bench-use := fwcrypto firmware
iked-bench-pkg := glib crypto
