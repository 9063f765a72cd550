lib-firmware-src += firmware/boot/board.c firmware/boot/lockdown.c
lib-firmware-pkg += seccomp
