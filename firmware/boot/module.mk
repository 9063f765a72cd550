lib-firmware-src += firmware/boot/board.c firmware/boot/lockdown.c
lib-firmware-pkg += seccomp

exchange-tests += board-test
board-test-src := tests/exchange/boot/board_test.c
board-test-use := firmware
board-test-pkg := glib threads
