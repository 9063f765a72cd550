# vchassis: the command people type
programs += vchassis
vchassis-src := hw/front/verbs.c hw/front/client.c hw/front/select.c hw/front/keeper.c \
	hw/front/progress.c hw/front/up.c hw/front/nodes.c hw/front/ps.c hw/front/exec.c \
	hw/front/capture.c hw/front/demo.c
vchassis-use := runner lab firmware
vchassis-pkg := glib gio giounix gobject json yaml lua
