# model: chassis, slots and units as objects, fed by the catalogue
libraries += model
lib-model-src := hw/model/reason.c hw/model/unit.c hw/model/board.c hw/model/control_board.c \
	hw/model/chassis.c
lib-model-pkg := gobject glib

unit-tests += model-test
model-test-src := tests/unit/model/chassis_test.c
model-test-use := model lab firmware
model-test-pkg := gobject glib yaml
