/*
 * start - board-start: what a board is told when it gets power.
 */
#include <string.h>

#include "firmware/core/mac.h"
#include "hw/supervise/internal.h"

/* When the catalogue names no number; buffers never used cost nothing but address space. */
#define SMALL_BUFFERS 8192u /* 2 KiB each */
#define LARGE_BUFFERS 256u  /* 64 KiB each */

/* Ports of this card that have something behind them, with their descriptors. */
static unsigned ports_fill(struct hw_supervised *s, struct bus_board_start *start, int *fds)
{
    struct hw_node *node = s->node;
    unsigned n_fds = 0;

    for (guint n = 0; n < node->ports->len && start->n_ports < G_N_ELEMENTS(start->ports); n++) {
        struct hw_node_port *port = node->ports->pdata[n];
        struct bus_port_desc *desc = &start->ports[start->n_ports];

        if (port->card != s || port->fd < 0) {
            continue;
        }
        desc->pic = port->pic;
        desc->port = port->port;
        desc->kind = (uint8_t)port->kind;
        /* As ifd derives it on the Routing Engine. */
        fw_mac_port(start->node, start->slot, port->pic, port->port, desc->mac);
        g_strlcpy(desc->name, port->name, sizeof desc->name);
        fds[n_fds++] = port->fd;
        start->n_ports++;
    }
    return n_fds;
}

static void links_tell(struct hw_supervised *s)
{
    for (guint n = 0; n < s->node->ports->len; n++) {
        struct hw_node_port *port = s->node->ports->pdata[n];
        struct bus_port_link link = {.pic = port->pic, .port = port->port, .up = port->up};

        if (port->card == s && port->fd >= 0 && port->up_known) {
            hw_supervised_send(s, BUS_PORT_LINK, &link, NULL, 0);
        }
    }
}

void hw_supervised_tell_start(struct hw_supervised *s)
{
    struct hw_node *node = s->node;
    const struct lab_options *options = &node->config.file->options;
    const struct catalog_card *card = hw_unit_card(HW_UNIT(s->board));
    g_autofree struct bus_board_start *start = g_new0(struct bus_board_start, 1);
    int fds[BUS_FDS_MAX];
    unsigned n_fds;

    start->epoch = node->config.epoch;
    g_strlcpy(start->node, node->config.lab->name, sizeof start->node);
    start->kind = (uint8_t)hw_board_kind(s->board);
    start->slot = hw_supervised_slot(s);
    start->index = hw_supervised_index(s);
    g_strlcpy(start->card, card->name, sizeof start->card);
    start->spus = (uint8_t)card->spus;
    start->threads = (uint8_t)card->threads;
    start->lanes = hw_board_lanes(s->board);
    start->endpoints = (uint8_t)hw_chassis_endpoints(node->chassis);
    start->small_buffers = card->small_buffers ? card->small_buffers : SMALL_BUFFERS;
    start->large_buffers = card->large_buffers ? card->large_buffers : LARGE_BUFFERS;
    start->model_scale = options->model_scale;
    start->seed = node->seed;
    start->export_keys = options->export_keys;
    start->spin = options->spin;
    g_strlcpy(start->model, node->config.lab->chassis->model, sizeof start->model);
    start->n_stage_ms = MIN(CATALOG_STAGES, G_N_ELEMENTS(start->stage_ms));
    memcpy(start->stage_ms, card->stage_ms, start->n_stage_ms * sizeof(uint32_t));
    g_strlcpy(start->disk, node->disk, sizeof start->disk);
    g_strlcpy(start->run, node->run, sizeof start->run);
    g_strlcpy(start->config, node->config.lab->config ? node->config.lab->config : "",
              sizeof start->config);
    n_fds = ports_fill(s, start, fds);
    hw_supervised_send(s, BUS_BOARD_START, start, fds, n_fds);
    links_tell(s);
    hw_fabric_planes_tell(node, s);
}
