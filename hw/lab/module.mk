# lab: lab file and catalogue readers (library), labd and the traffic host (programs)
libraries += lab
lib-lab-src := hw/lab/catalog.c hw/lab/directories.c hw/lab/labfile.c hw/lab/labfile_node.c \
	hw/lab/labfile_host.c hw/lab/labfile_link.c hw/lab/yamltree.c
lib-lab-pkg := glib yaml

programs += vc-labd
vc-labd-src := hw/lab/labd.c hw/lab/plumbing.c hw/lab/netns.c hw/lab/child.c hw/lab/server.c \
	hw/lab/node.c hw/lab/run.c hw/lab/commands.c hw/lab/traffic_host.c
vc-labd-use := lab firmware
vc-labd-pkg := glib gio giounix gobject json yaml

programs += vc-traffic
vc-traffic-src := hw/lab/traffic.c hw/lab/traffic_flow.c hw/lab/traffic_packet.c
vc-traffic-use := lab firmware
vc-traffic-pkg := glib gio giounix gobject yaml
