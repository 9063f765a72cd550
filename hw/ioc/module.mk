libraries += ioc
lib-ioc-src := hw/ioc/cache.c hw/ioc/capture.c hw/ioc/lane.c hw/ioc/np.c hw/ioc/port.c \
	hw/ioc/statistics.c hw/ioc/table.c

programs += vc-iocd
vc-iocd-src := hw/ioc/main.c
vc-iocd-use := ioc firmware

unit-tests += ioc_test
ioc_test-src := tests/unit/ioc/np_test.c tests/unit/ioc/capture_test.c \
	tests/unit/ioc/card_test.c
ioc_test-use := ioc firmware

fuzzers += np_classify
np_classify-src := tests/fuzz/np_classify.c
np_classify-use := ioc firmware
