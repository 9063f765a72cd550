# host: what runs a board (part of library `box`, as hw/supervise, hw/fabric and hw/monitor are)
libraries += box
lib-box-src += hw/host/host.c hw/host/process_host.c
lib-box-pkg += gio giounix gobject json glib
