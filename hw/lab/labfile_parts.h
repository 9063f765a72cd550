/*
 * labfile_parts - what the readers of a lab file's sections share; private to hw/lab.
 */
#ifndef LAB_LABFILE_PARTS_H
#define LAB_LABFILE_PARTS_H

#include "hw/lab/labfile.h"
#include "hw/lab/yamltree.h"

struct lab_reading {
    const struct yaml_tree *tree;
    const struct catalog *catalog;
    struct lab_file *lab;      /* filled section by section */
    bool check_files;
    GError **error;
};

/* The name is usable, or one sentence at its place. */
bool lab_name_check(const struct lab_reading *r, const yaml_tree_node *node, const char *what,
                    const char *name);
/* In this order; each reads one section. */
bool lab_nodes_read(struct lab_reading *r, const yaml_tree_node *map);
bool lab_hosts_read(struct lab_reading *r, const yaml_tree_node *map);
bool lab_links_read(struct lab_reading *r, const yaml_tree_node *list);

#endif
