libraries += ike
lib-ike-src := re/ike/child.c re/ike/cookie.c re/ike/engine.c re/ike/exchange-auth.c \
    re/ike/exchange-child.c re/ike/exchange-info.c re/ike/exchange-init.c \
    re/ike/exchange-rekey.c re/ike/keylog.c re/ike/keymat.c re/ike/message.c re/ike/nat.c \
    re/ike/payload-id.c re/ike/payload-notify.c re/ike/payload-sa.c re/ike/payload-sk.c \
    re/ike/payload-ts.c re/ike/receive.c re/ike/record.c re/ike/rules.c re/ike/sa.c \
    re/ike/send.c re/ike/task.c re/ike/ts.c re/ike/view.c
lib-ike-pkg := glib crypto

exchange-tests += ike-exchange
ike-exchange-src := tests/exchange/world.c tests/exchange/setup_test.c \
    tests/exchange/child_test.c tests/exchange/hostile_test.c
ike-exchange-use := ike fwcrypto firmware
ike-exchange-pkg := glib crypto

fuzzers += ike_payloads ike_datagram ike_sealed ike_record
ike_payloads-src := tests/fuzz/ike_payloads.c
ike_payloads-use := ike fwcrypto firmware
ike_payloads-pkg := glib crypto
ike_datagram-src := tests/fuzz/ike_datagram.c tests/exchange/world.c
ike_datagram-use := ike fwcrypto firmware
ike_datagram-pkg := glib crypto
ike_sealed-src := tests/fuzz/ike_sealed.c tests/exchange/world.c
ike_sealed-use := ike fwcrypto firmware
ike_sealed-pkg := glib crypto
ike_record-src := tests/fuzz/ike_record.c tests/exchange/world.c
ike_record-use := ike fwcrypto firmware
ike_record-pkg := glib crypto

unit-tests += ike
ike-src := tests/unit/ike/message_test.c tests/unit/ike/ts_test.c
ike-use := ike fwcrypto firmware
ike-pkg := glib crypto
