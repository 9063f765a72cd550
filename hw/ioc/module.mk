libraries += ioc
lib-ioc-src := hw/ioc/cache.c hw/ioc/capture.c hw/ioc/lane.c hw/ioc/np.c hw/ioc/port.c \
	hw/ioc/statistics.c hw/ioc/table.c

programs += vc-iocd
vc-iocd-src := hw/ioc/main.c
vc-iocd-use := ioc firmware
