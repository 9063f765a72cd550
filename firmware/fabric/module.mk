lib-firmware-src += firmware/fabric/attach.c firmware/fabric/datagram.c firmware/fabric/lane.c \
	firmware/fabric/outbox.c firmware/fabric/wait.c
