# lab: lab file and catalogue readers (library), labd and the traffic host (programs)
libraries += lab
lib-lab-src := hw/lab/catalog.c hw/lab/directories.c hw/lab/labfile.c hw/lab/labfile_node.c \
	hw/lab/labfile_host.c hw/lab/labfile_link.c hw/lab/yamltree.c
lib-lab-pkg := glib yaml

programs += vc-labd
vc-labd-src := hw/lab/labd.c hw/lab/plumbing.c hw/lab/netns.c hw/lab/child.c hw/lab/server.c \
	hw/lab/node.c hw/lab/run.c hw/lab/commands.c hw/lab/traffic_host.c hw/monitor/line.c
vc-labd-use := lab firmware
vc-labd-pkg := glib gio giounix gobject json yaml

programs += vc-traffic
vc-traffic-src := hw/lab/traffic.c hw/lab/traffic_flow.c hw/lab/traffic_packet.c
vc-traffic-use := lab firmware
vc-traffic-pkg := glib gio giounix gobject yaml

unit-tests += lab
lab-src := tests/unit/lab/labfile_test.c tests/unit/lab/catalog_test.c \
	tests/unit/lab/traffic_test.c hw/lab/traffic_flow.c hw/lab/traffic_packet.c
lab-use := lab firmware
lab-pkg := glib yaml

fuzzers += labfile
labfile-src := tests/fuzz/labfile.c
labfile-use := lab firmware
labfile-pkg := glib yaml

fuzzers += traffic_frame
traffic_frame-src := tests/fuzz/traffic_frame.c hw/lab/traffic_packet.c
traffic_frame-use := firmware
traffic_frame-pkg := glib

# Where tests find the catalogue of this tree.
$(B)/obj/tests/unit/lab/labfile_test.o $(B)/obj/tests/unit/lab/catalog_test.o \
	$(B)/obj/tests/fuzz/labfile.o: CPP_ALL += -DCATALOG_DIRECTORY='"$(abspath $(S))/images/catalog"'
