# lab: lab file and catalogue readers (library), labd and the traffic host (programs)
libraries += lab
lib-lab-src := hw/lab/catalog.c hw/lab/directories.c hw/lab/labfile.c hw/lab/yamltree.c
lib-lab-pkg := glib yaml
