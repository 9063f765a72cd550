/*
 * main - vc-spcd, the program of a services card.
 *
 * Descriptors: 3 = supervision, 4 = control bus. How many SPUs and flow RT
 * threads the card has comes with board-start, from the catalogue. After ready
 * nothing is opened any more: wake-ups and lanes are made at start, OpenSSL is
 * told to read no configuration.
 */
#include <openssl/crypto.h>

#include "firmware/core/error.h"
#include "spc/spcd.h"

static bool card_start(struct board *board, void *data, GError **error)
{
    const struct bus_board_start *config = board->config;
    struct spcd *spcd = data;

    if (config->spus == 0 || config->spus > FLOW_SPUS_MAX || config->threads == 0 ||
        config->threads > FLOW_THREADS_MAX || config->endpoints < 3) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "board-start: %u SPUs (1 to %u), %u flow threads (1 to %u), %u endpoints",
                       config->spus, FLOW_SPUS_MAX, config->threads, FLOW_THREADS_MAX,
                       config->endpoints);
    }
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    spcd->board = board;
    spcd->spus = config->spus;
    spcd->threads = config->threads;
    spcd->n_lanes = config->lanes;
    spcd->lanes = g_new0(struct flow_lane, config->lanes);
    spcd->all = flow_threads_new(board->fabric, config->index, config->spus, config->threads,
                                 config->lanes, spcd->lanes);
    spc_control_new(spcd);
    return spc_workers_start(spcd, error);
}

static void card_message(struct board *board, const struct bus_header *header, const void *msg,
                         void *data)
{
    (void)board;
    spc_control_message(data, header, msg);
}

static void card_stop(struct board *board, void *data)
{
    struct spcd *spcd = data;

    (void)board;
    if (!spcd->all) {
        return;
    }
    spc_workers_stop(spcd);
    spc_workers_collect(spcd);
    flow_threads_free(spcd->all, spcd->lanes, spcd->n_lanes);
    spc_control_free(spcd);
    g_free(spcd->lanes);
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_IFL_STATE,    BUS_ROUTE_STATE,
                                             BUS_NEIGHBOUR_STATE, BUS_ZONE_STATE,
                                             BUS_POLICY_STATE, BUS_TUNNEL_INTERFACE_STATE,
                                             BUS_ANCHOR_STATE, BUS_FPC_STATE,
                                             0};
    static struct spcd spcd;
    struct board_role role = {.name = "spcd",
                              .fabric = true,
                              .bus = true,
                              .lock_down = true,
                              .subscriptions = subscriptions,
                              .start = card_start,
                              .message = card_message,
                              .stop = card_stop,
                              .data = &spcd};

    return board_main(&role, argc, argv);
}
