libraries += fwcrypto
lib-fwcrypto-src := firmware/crypto/alg.c firmware/crypto/symmetric.c firmware/crypto/group.c \
    firmware/crypto/job.c
lib-fwcrypto-pkg := glib crypto

unit-tests += crypto
crypto-src := tests/unit/crypto/alg_test.c tests/unit/crypto/symmetric_test.c \
    tests/unit/crypto/job_test.c
crypto-use := fwcrypto firmware
crypto-pkg := glib crypto
