/*
 * bus_frame - arbitrary frames at a router from the midplane's side. Whatever is sent, the router
 * must not fall, must not let a frame in the name of the Routing Engine through, and must still
 * serve the daemon behind it.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool served;

static void message(struct bus_conn *conn, const struct bus_header *h, const void *msg, int *fds,
                    unsigned n_fds, void *user)
{
    g_assert(h->source >> 8 != BUS_SLOT_RE0 || h->source == BUS_ROUTER);
    if (h->kind == BUS_CALL) {
        bus_reply_ok(conn, h);
    }
}

static void subscribed(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                       const GError *error, void *user)
{
    g_assert(!error);
    served = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bus_handler handler = {message, NULL};
    struct bus_subscribe wanted = {.n_types = 2, .types = {BUS_FPC_STATE, BUS_ROUTE_STATE}};
    struct bus_router *router = bus_router_new(&handler, NULL);
    int card[2], daemon[2];
    struct fw_cursor c = fw_cursor(data, size);

    g_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, card) == 0);
    g_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, daemon) == 0);
    bus_router_add(router, card[0], 0, 0);
    bus_router_add(router, daemon[0], BUS_RE(BUS_ROLE_IKEMD), 0xffff);
    struct bus_conn *conn = bus_conn_new(daemon[1], BUS_RE(BUS_ROLE_IKEMD), &handler, NULL);

    served = false;
    bus_call(conn, BUS_ROUTER, BUS_SUBSCRIBE, &wanted, 0, subscribed, NULL);
    while (!served) {
        g_main_context_iteration(NULL, TRUE);
    }
    /* Frames: u16 length, then so many bytes; the length field is made right so that more is
     * reached than the first check. */
    while (fw_cursor_left(&c) > 2) {
        uint8_t frame[4096] = {0};
        size_t len = MIN(fw_cursor_u16(&c) % sizeof frame, fw_cursor_left(&c));

        fw_cursor_copy(&c, frame, len);
        if (len > BUS_HEADER_BYTES && frame[0] != 0xff) {
            struct fw_emit e = fw_emit(frame, 4);
            fw_emit_u32(&e, (uint32_t)len);
        }
        if (len && send(card[1], frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    served = false;
    bus_call(conn, BUS_ROUTER, BUS_SUBSCRIBE, &wanted, 0, subscribed, NULL);
    while (!served) {
        g_main_context_iteration(NULL, TRUE);
    }
    bus_conn_free(conn);
    bus_router_free(router);
    close(card[1]);
    return 0;
}
