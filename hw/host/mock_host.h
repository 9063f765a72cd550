/*
 * mock_host - HwMockHost: boards inside this process, for tests.
 *
 * A mock board speaks the real wire over the real sockets: it answers
 * board-start with its stages, an outbox of zero bytes (which asks for the
 * datagram transport), acknowledges attachments, tells ready and answers
 * pings. With `fabric` it has a real fabric object served on the main loop, so
 * that cells really cross between mocks. A test steers it by its switches.
 * Main-loop thread only.
 */
#ifndef HW_HOST_MOCK_HOST_H
#define HW_HOST_MOCK_HOST_H

#include "firmware/bus/bus.h"
#include "firmware/fabric/fabric.h"
#include "hw/host/host.h"
#include "messages.h"

#define HW_TYPE_MOCK_HOST (hw_mock_host_get_type())
G_DECLARE_FINAL_TYPE(HwMockHost, hw_mock_host, HW, MOCK_HOST, GObject)

struct hw_mock_board {
    struct bus_conn *supervisor;
    struct bus_conn *bus;            /* NULL without */
    struct bus_board_start *start;   /* NULL until told */
    struct fabric *fabric;           /* NULL without */
    bool silent;                     /* answers nothing (not even pings) */
    uint32_t generation[FABRIC_ENDPOINTS_MAX]; /* attached with, 0: not */
    unsigned attaches, detaches;     /* seen */
    uint16_t planes;
    uint16_t end_reason;             /* of board-end, 0 none */
    unsigned rules;                  /* fabric-impair messages seen */
    struct bus_fabric_impair rule;   /* the last one */
    int captures[2];                 /* last capture-start id, capture-stop id */
};

/* fabric: boards get real fabrics. */
HwMockHost *hw_mock_host_new(bool fabric);
/* Running mocks by bus slot number as told in board-start; NULL when there is none. */
struct hw_mock_board *hw_mock_host_board(HwMockHost *host, uint8_t slot);
/* Boards started so far. */
unsigned hw_mock_host_started(HwMockHost *host);
/* The next boards are silent from the start. */
void hw_mock_host_set_silent(HwMockHost *host, bool silent);
/* The board dies with a wait status. */
void hw_mock_host_die(HwMockHost *host, struct hw_mock_board *board, int status);
/* Serves the lanes of all boards once: attachments take effect. */
void hw_mock_host_serve(HwMockHost *host);

#endif
