/*
 * catalog - facts of chassis and cards, read from images/catalog (YAML files).
 *
 * What a card has, what it is called, how long its boot stages take and what
 * happens when it fails are rows of these files, never code. A catalogue is
 * read once and then constant: pointers into it live as long as it does.
 * Values that no public document gives are the emulator's own choice and are
 * listed by name under `own-choice` in the files.
 * Any thread after loading.
 */
#ifndef LAB_CATALOG_H
#define LAB_CATALOG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define CATALOG_SLOTS_MAX  12  /* FPC slots of the largest chassis */
#define CATALOG_BOARDS_MAX 4   /* control boards, Routing Engines */
#define CATALOG_PICS_MAX   8
#define CATALOG_PORTS_MAX  64  /* of one card: board-start's limit */
#define CATALOG_STAGES     6   /* seated power diagnostics image boot online: enum boot-stage */

enum catalog_kind {
    CATALOG_SPC,  /* services card: an FPC slot, program vc-spcd */
    CATALOG_IOC,  /* I/O card: an FPC slot, program vc-iocd */
    CATALOG_RE,   /* routing engine, program vc-re */
    CATALOG_CB    /* control board: passive, gives fabric planes */
};

/* What is done when an SPU of the chassis fails (platform fact M of the reference). */
enum catalog_failure {
    CATALOG_FAILURE_ISOLATE,           /* this card alone; its tunnels are placed elsewhere */
    CATALOG_FAILURE_RESTART_DATA_PLANE /* all I/O and services cards of the chassis restart */
};

struct catalog_pic {
    unsigned number;      /* PIC number */
    char *type;           /* "12x 10GE SFP+"; "SPU" for one that carries an SPU */
    char *media;          /* port name prefix, "xe"; NULL without ports */
    unsigned ports;       /* ports 0 .. ports - 1 */
};

struct catalog_card {
    char *name;           /* "SPC3", as in lab files */
    enum catalog_kind kind;
    char *description;    /* "SPC3", as in show chassis hardware */
    char *model_number;   /* "SRX5K-SPC3" */
    char *inventory_model; /* "JNP-SPC3": what the inventory prints; never NULL */
    char *part_number;    /* "750-073435"; "" when unknown */
    char *revision;       /* "REV 28" */
    char *clei;           /* "" when unknown */
    char *cpu;            /* sub-item text "SRX5k vCPP Broadwell"; "" when it shows none */
    unsigned n_pics;
    struct catalog_pic pics[CATALOG_PICS_MAX];
    unsigned spus;        /* services card */
    unsigned threads;     /* flow RT threads of an SPU */
    unsigned lanes;       /* default worker threads; 0: cores / boards, at least 1 */
    unsigned planes;      /* control board: fabric planes it provides */
    unsigned temperature_c; /* intake temperature in service */
    unsigned memory_mib;  /* DRAM as shown */
    uint32_t small_buffers; /* of the outbox; 0: the board's default */
    uint32_t large_buffers;
    uint32_t stage_ms[CATALOG_STAGES]; /* modelled duration of each boot stage */
    enum catalog_failure failure;
    bool restart;         /* restart a failed card at once */
    unsigned restart_limit; /* more restarts within restart_window_s: stays offline (reason 72) */
    unsigned restart_window_s;
    unsigned watchdog_s;  /* no answer for so long: unresponsive (reason 15) */
};

struct catalog_chassis {
    char *name;           /* "SRX5800", as in lab files */
    char *model;          /* "srx5800", as in show version */
    char *description;    /* "SRX5800" */
    char *midplane;       /* "SRX5800 Midplane" */
    char *midplane_part;
    unsigned slots;       /* FPC slots 0 .. slots - 1 */
    unsigned control_boards; /* positions cb0 .. */
    unsigned routing_engines; /* positions re0 .. */
    int shared_cb;        /* control board position that shares a slot with an FPC, or -1 */
    int shared_fpc;       /* that FPC slot */
    unsigned planes_max;  /* planes the fabric uses at most */
    unsigned node1_offset; /* FPC numbering offset of node 1 in a cluster */
    unsigned n_cards;     /* names of the cards it takes */
    char **cards;
};

struct catalog;

/* Reads every *.yaml of the directory (or of catalog_directory() when NULL). NULL and one sentence
 * with file:line on error. Free with catalog_free. */
struct catalog *catalog_load(const char *directory, GError **error);
void catalog_free(struct catalog *catalog);

/* Where the catalogue lies: $VCHASSIS_DATA/catalog, else ../share/vchassis/catalog seen from the
 * running program. Free with g_free. */
char *catalog_directory(void);

/* By name; NULL when unknown. */
const struct catalog_card *catalog_card(const struct catalog *catalog, const char *name);
const struct catalog_chassis *catalog_chassis(const struct catalog *catalog, const char *name);
/* "IOC3, SPC3": the names of cards (of one kind, or all with kind -1) for messages. g_free. */
char *catalog_card_names(const struct catalog *catalog, int kind);
char *catalog_chassis_names(const struct catalog *catalog);

/* Is this card allowed in this chassis? */
bool catalog_chassis_takes(const struct catalog_chassis *chassis, const char *card);
/* Modelled boot time of the card in ms: the sum of its stages. */
uint32_t catalog_card_boot_ms(const struct catalog_card *card);
/* "spc", "ioc", "re", "cb" */
const char *catalog_kind_name(enum catalog_kind kind);

#endif
