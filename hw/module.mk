# hw: the chassis node itself
programs += vc-hwd
vc-hwd-src := hw/main.c
vc-hwd-use := box model lab firmware
vc-hwd-pkg := gobject glib yaml
