/*
 * node - one chassis and the supervision of its boards.
 *
 * From a node of the lab file: the model is made, boards are powered on, their
 * processes are followed from board-start to their end, the fabric is wired,
 * the midplane relays, the RE is told of the hardware. What happens is told to
 * one listener as events (monitor.h gives them to the outside).
 *
 * All functions: main-loop thread, nothing blocks. Requests mean "accepted";
 * events tell progress and end.
 */
#ifndef HW_SUPERVISE_NODE_H
#define HW_SUPERVISE_NODE_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "hw/host/host.h"
#include "hw/lab/labfile.h"
#include "hw/model/chassis.h"
#include "messages.h"

struct hw_node;

struct hw_node_config {
    const struct lab_file *file;  /* must outlive the node */
    const struct lab_node *lab;
    const char *run;              /* run directory of the node */
    const char *disk;             /* its disk */
    uint32_t epoch;               /* power-on count */
    HwHost *host;                 /* a reference is taken */
    int64_t ping_ns;              /* between pings; 0: a second */
    /* data: taken. */
    void (*event)(const char *name, JsonObject *data, void *user);
    void *user;
};

struct hw_node *hw_node_new(const struct hw_node_config *config);
/* Boards that still run are killed. */
void hw_node_free(struct hw_node *node);

HwChassis *hw_node_chassis(struct hw_node *node);
const struct hw_node_config *hw_node_config(struct hw_node *node);

/* What is behind a port of an I/O card; before go. Takes fd (-1 allowed with kind none). */
void hw_node_port(struct hw_node *node, const char *name, enum bus_port_kind kind, int fd);
/* Carrier of a port. */
void hw_node_link(struct hw_node *node, const char *name, bool up);
/* Power on: everything seated boots. */
void hw_node_go(struct hw_node *node);
/* Power off in order; done runs when no board is left (or was killed after a moment). */
void hw_node_end(struct hw_node *node, void (*done)(void *user), void *user);

/* Slot numbers as on the bus. False with one sentence when it cannot be. */
bool hw_node_slot_offline(struct hw_node *node, uint8_t slot, uint16_t reason, GError **error);
bool hw_node_slot_online(struct hw_node *node, uint8_t slot, GError **error);
bool hw_node_slot_restart(struct hw_node *node, uint8_t slot, uint16_t reason, GError **error);
/* SIGKILL, as a fault. */
bool hw_node_board_kill(struct hw_node *node, uint8_t slot, GError **error);
/* The board is told to write nonsense into its outbox. */
bool hw_node_board_misbehave(struct hw_node *node, uint8_t slot, GError **error);
/* port `fabric`: the cells between boards. fd stays the caller's. */
bool hw_node_capture_start(struct hw_node *node, const char *port, int fd, uint32_t *ret_id,
                           GError **error);
bool hw_node_capture_stop(struct hw_node *node, uint32_t id, GError **error);
/* Cells between two slots (0xff: any) are lost by chance and delayed; nothing of both: no more. */
bool hw_node_fabric_impair(struct hw_node *node, uint8_t source, uint8_t destination,
                           unsigned drop_permille, uint32_t delay_us, GError **error);

/* For query-boards: one object a board / the relay's counters. Taken by the caller. */
JsonArray *hw_node_boards(struct hw_node *node);
JsonArray *hw_node_slots(struct hw_node *node);
JsonObject *hw_node_counters(struct hw_node *node);

#endif
