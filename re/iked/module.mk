programs += vc-iked
vc-iked-src := re/iked/main.c re/iked/cards.c re/iked/clear.c re/iked/config.c re/iked/keys.c \
    re/iked/port.c re/iked/records.c re/iked/show-ike.c re/iked/show-ipsec.c re/iked/statistics.c \
    re/iked/tunnel.c
vc-iked-use := ike shell conf fwcrypto firmware
vc-iked-pkg := glib crypto

exchange-tests += iked-exchange
iked-exchange-src := tests/exchange/iked/bench.c tests/exchange/iked/iked_test.c
iked-exchange-use := ike fwcrypto firmware
iked-exchange-pkg := glib crypto
