/*
 * labfile - the description of a lab: nodes, hosts, links, options.
 *
 * A YAML file, see vchassis-lab(5). The reader checks everything that can be
 * checked without starting anything, against the catalogue too; each error is
 * one sentence with file:line and the remedy. A read lab is constant.
 * Any thread after loading.
 */
#ifndef LAB_LABFILE_H
#define LAB_LABFILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "hw/lab/catalog.h"

#define LAB_NAME_MAX      24  /* lab, node, host and link names become file and device names */
#define LAB_NODES_MAX     16
#define LAB_HOSTS_MAX     64
#define LAB_LINKS_MAX     256
#define LAB_ADDRESSES_MAX 16  /* of one host */
#define LAB_ROUTES_MAX    32  /* of one host */
#define LAB_CARDS_MAX     20  /* of one node */
#define LAB_FILE_MAX      (1u << 20) /* bytes of a lab file: larger is a mistake */

enum lab_position { LAB_FPC, LAB_CB, LAB_RE };

struct lab_card {
    enum lab_position position;
    unsigned slot;              /* FPC slot, or number of the control board or Routing Engine */
    const struct catalog_card *card; /* the catalogue's */
    unsigned line;
};

struct lab_node {
    char *name;
    const struct catalog_chassis *chassis; /* the catalogue's */
    char *config;               /* absolute path of the first configuration; NULL: factory */
    unsigned n_cards;
    struct lab_card cards[LAB_CARDS_MAX];
    unsigned line;
};

enum lab_host_type {
    LAB_HOST,                   /* a network namespace in which commands run */
    LAB_TRAFFIC                 /* generator and sink in memory */
};

struct lab_route {
    struct fw_prefix prefix;
    struct fw_addr via;
};

struct lab_host {
    char *name;
    enum lab_host_type type;
    unsigned n_addresses;
    struct fw_prefix addresses[LAB_ADDRESSES_MAX]; /* of its first interface, host bits kept */
    struct fw_addr gateway;     /* none: no default route */
    unsigned n_routes;
    struct lab_route routes[LAB_ROUTES_MAX];
    unsigned line;
};

/* One end of a link: a port of a node, or a host. Exactly one of node and host is set. */
struct lab_end {
    const struct lab_node *node;
    const struct lab_host *host;
    char port[24];              /* node: "xe-1/0/0"; host: "eth0", "eth1" ... as linked */
    unsigned slot, pic, number; /* node: the parts of the port's name */
};

struct lab_link {
    char *name;
    struct lab_end ends[2];
    unsigned line;
};

struct lab_options {
    uint32_t model_scale;       /* permille of modelled durations (default 1000) */
    uint64_t seed;              /* of the model random stream; 0: a fresh one */
    bool spin;                  /* lanes spin before sleeping */
    unsigned lanes;             /* worker threads a board; 0: default */
    bool export_keys;           /* write Wireshark key tables */
};

struct lab_file {
    char *name;                 /* of the lab */
    char *path;                 /* absolute */
    struct lab_options options;
    unsigned n_nodes;
    struct lab_node nodes[LAB_NODES_MAX];
    unsigned n_hosts;
    struct lab_host hosts[LAB_HOSTS_MAX];
    unsigned n_links;
    struct lab_link links[LAB_LINKS_MAX];
};

/* NULL and one sentence on error. The catalogue must outlive the lab. Free with lab_file_free.
 * The environment's VCHASSIS_SEED and VCHASSIS_MODEL_SCALE replace the file's options. */
struct lab_file *lab_file_load(const char *path, const struct catalog *catalog, GError **error);
/* The same from memory; path names it in messages and is the base of relative paths. Files the lab
 * names are checked for existence only when `check_files`. */
struct lab_file *lab_file_parse(const char *text, size_t len, const char *path, bool check_files,
                                const struct catalog *catalog, GError **error);
void lab_file_free(struct lab_file *lab);

/* By name; NULL when there is none. */
const struct lab_node *lab_file_node(const struct lab_file *lab, const char *name);
const struct lab_host *lab_file_host(const struct lab_file *lab, const char *name);
/* The link at a node's port, or NULL. */
const struct lab_link *lab_file_port_link(const struct lab_file *lab, const struct lab_node *node,
                                          const char *port);
/* The card in an FPC slot of a node, or NULL. */
const struct lab_card *lab_node_card(const struct lab_node *node, enum lab_position position,
                                     unsigned slot);
/* Letters, digits, '-', '_', '.', not beginning with '-' or '.'; at most LAB_NAME_MAX. */
bool lab_name_valid(const char *name);

/* Directories (contracts.md); labd and hwd are told theirs as arguments. g_free the results. */
char *lab_run_root(void);                       /* holds one directory a lab */
char *lab_run_directory(const char *lab);
char *lab_disk_directory(const char *lab, const char *node);
char *lab_disk_root(const char *lab);           /* NODE directories below; wipe removes it */

#endif
