lib-firmware-src += firmware/core/addr.c firmware/core/clock.c firmware/core/error.c \
	firmware/core/log.c firmware/core/rng.c firmware/core/secret.c firmware/core/timer.c
