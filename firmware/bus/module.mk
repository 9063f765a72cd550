lib-firmware-src += firmware/bus/codec.c firmware/bus/port.c firmware/bus/conn.c firmware/bus/router.c
