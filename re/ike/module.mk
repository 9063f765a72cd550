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
    tests/exchange/child_test.c
ike-exchange-use := ike fwcrypto firmware
ike-exchange-pkg := glib crypto
