/* mock_host - see mock_host.h. */
#include "hw/host/mock_host.h"

#include <signal.h>
#include <string.h>

#include "firmware/core/timer.h"

#define SERVE_NS 1000000 /* lanes look for attachments */

struct _HwMockHost {
    GObject parent;
    bool fabric;
    bool silent;
    unsigned started;
    GPtrArray *guests; /* struct hw_guest, owned */
    struct fw_timer *serve;
};

struct hw_guest {
    struct hw_mock_board board;
    HwMockHost *host;
    hw_host_ended_cb ended;
    void *data;
    int status;
    guint dying;
};

static void mock_host_interface(HwHostInterface *interface);

G_DEFINE_TYPE_WITH_CODE(HwMockHost, hw_mock_host, G_TYPE_OBJECT,
                        G_IMPLEMENT_INTERFACE(HW_TYPE_HOST, mock_host_interface))

static void guest_free(void *pointer)
{
    struct hw_guest *guest = pointer;

    g_clear_handle_id(&guest->dying, g_source_remove);
    if (guest->board.fabric) {
        fabric_free(guest->board.fabric);
    }
    bus_conn_free(guest->board.supervisor);
    bus_conn_free(guest->board.bus);
    g_free(guest->board.start);
    g_free(guest);
}

static gboolean on_dying(gpointer data)
{
    struct hw_guest *guest = data;
    hw_host_ended_cb ended = guest->ended;
    void *user = guest->data;
    int status = guest->status;

    guest->dying = 0;
    g_ptr_array_remove(guest->host->guests, guest);
    if (ended) {
        ended(status, user);
    }
    return G_SOURCE_REMOVE;
}

static void guest_die(struct hw_guest *guest, int status)
{
    if (!guest->dying) {
        guest->status = status;
        guest->dying = g_idle_add(on_dying, guest);
    }
}

static void acknowledge(struct hw_guest *guest, uint8_t index, uint32_t generation, bool attached)
{
    struct bus_fabric_ack ack = {.index = index, .generation = generation, .attached = attached};

    guest->board.generation[index] = attached ? generation : 0;
    bus_send(guest->board.supervisor, BUS_HWD, BUS_FABRIC_ACK, &ack);
}

static void on_acknowledged(uint8_t index, uint32_t generation, bool attached, void *data)
{
    acknowledge(data, index, generation, attached);
}

static void on_fault(uint8_t index, const char *reason, void *data)
{
    struct hw_guest *guest = data;
    struct bus_fabric_fault fault = {.index = index};

    g_strlcpy(fault.reason, reason, sizeof fault.reason);
    bus_send(guest->board.supervisor, BUS_HWD, BUS_FABRIC_FAULT, &fault);
}

static void begin(struct hw_guest *guest, const struct bus_board_start *start)
{
    struct bus_board_outbox outbox = {.generation = 1, .lanes = start->lanes};
    struct bus_conn *up = guest->board.supervisor;

    guest->board.start = g_memdup2(start, sizeof *start);
    if (guest->board.bus) {
        bus_conn_set_own(guest->board.bus, BUS_ADDRESS(start->slot, BUS_ROLE_BOARD));
    }
    if (guest->host->fabric) {
        struct fabric_config config = {.index = start->index, .endpoints = start->endpoints,
                                       .lanes = 1, .small_buffers = 64, .large_buffers = 4,
                                       .fault = on_fault, .acknowledged = on_acknowledged,
                                       .data = guest};

        outbox.lanes = 1;
        guest->board.fabric = fabric_new(&config, NULL);
        g_assert(guest->board.fabric);
    }
    for (unsigned s = 0; s < BUS_BOOT_STAGE_COUNT - 1; s++) {
        struct bus_board_stage stage = {.stage = (uint8_t)s};

        bus_send(up, BUS_HWD, BUS_BOARD_STAGE, &stage);
    }
    bus_send(up, BUS_HWD, BUS_BOARD_OUTBOX, &outbox);
    bus_send(up, BUS_HWD, BUS_BOARD_READY, &(struct bus_board_ready){0});
}

static void attach(struct hw_guest *guest, const struct bus_fabric_attach *attach, int *fds,
                   unsigned n_fds)
{
    guest->board.attaches++;
    if (attach->index >= FABRIC_ENDPOINTS_MAX) {
        return;
    }
    if (!guest->board.fabric) {
        acknowledge(guest, attach->index, attach->generation, true);
    } else if (attach->transport == BUS_TRANSPORT_DATAGRAM && n_fds == 1 &&
               fabric_attach_datagram(guest->board.fabric, attach->index, attach->generation,
                                      fds[0], attach->lanes, 0, NULL)) {
        fds[0] = -1;
    }
}

static void on_supervision(struct bus_conn *conn, const struct bus_header *header,
                           const void *msg, int *fds, unsigned n_fds, void *data)
{
    struct hw_guest *guest = data;
    struct hw_mock_board *board = &guest->board;

    if (board->silent) {
        return;
    }
    switch (header->type) {
    case BUS_BOARD_START:
        begin(guest, msg);
        break;
    case BUS_BOARD_PING: {
        struct bus_board_pong pong = {.count = ((const struct bus_board_ping *)msg)->count};

        bus_send(conn, BUS_HWD, BUS_BOARD_PONG, &pong);
        break;
    }
    case BUS_BOARD_END:
        board->end_reason = ((const struct bus_board_end *)msg)->reason;
        guest_die(guest, 0);
        break;
    case BUS_FABRIC_ATTACH:
        attach(guest, msg, fds, n_fds);
        break;
    case BUS_FABRIC_DETACH: {
        const struct bus_fabric_detach *detach = msg;

        board->detaches++;
        if (board->fabric) {
            fabric_detach(board->fabric, detach->index, detach->generation);
        } else {
            acknowledge(guest, detach->index, detach->generation, false);
        }
        break;
    }
    case BUS_FABRIC_PLANES:
        board->planes = ((const struct bus_fabric_planes *)msg)->up;
        if (board->fabric) {
            fabric_planes(board->fabric, board->planes);
        }
        break;
    case BUS_FABRIC_IMPAIR:
        board->rules++;
        board->rule = *(const struct bus_fabric_impair *)msg;
        break;
    case BUS_CAPTURE_START:
        board->captures[0] = (int)((const struct bus_capture_start *)msg)->id;
        break;
    case BUS_CAPTURE_STOP:
        board->captures[1] = (int)((const struct bus_capture_stop *)msg)->id;
        break;
    default:
        break;
    }
}

static void on_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    guest_die(data, 0);
}

static void on_bus(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                   int *fds, unsigned n_fds, void *data)
{
    if (header->kind == BUS_CALL) {
        bus_reply_ok(conn, header);
    }
}

static void on_bus_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
}

static struct hw_guest *mock_start(HwHost *host, const struct hw_host_board *board,
                                   hw_host_ended_cb ended, void *data, GError **error)
{
    static const struct bus_handler supervision = {on_supervision, on_closed};
    static const struct bus_handler bus = {on_bus, on_bus_closed};
    HwMockHost *self = HW_MOCK_HOST(host);
    struct hw_guest *guest = g_new0(struct hw_guest, 1);

    (void)error;
    guest->host = self;
    guest->ended = ended;
    guest->data = data;
    guest->board.silent = self->silent;
    guest->board.supervisor = bus_conn_new(board->supervision, 0, &supervision, guest);
    if (board->bus >= 0) {
        guest->board.bus = bus_conn_new(board->bus, 0, &bus, guest);
    }
    self->started++;
    g_ptr_array_add(self->guests, guest);
    return guest;
}

static void mock_kill(HwHost *host, struct hw_guest *guest)
{
    (void)host;
    guest_die(guest, SIGKILL);
}

static void mock_forget(HwHost *host, struct hw_guest *guest)
{
    g_ptr_array_remove(HW_MOCK_HOST(host)->guests, guest);
}

static uint32_t mock_pid(HwHost *host, struct hw_guest *guest)
{
    (void)host;
    (void)guest;
    return 0;
}

static void mock_host_interface(HwHostInterface *interface)
{
    interface->start = mock_start;
    interface->kill = mock_kill;
    interface->forget = mock_forget;
    interface->pid = mock_pid;
}

static void on_serve(void *data)
{
    HwMockHost *self = data;

    hw_mock_host_serve(self);
    fw_timer_arm(self->serve, SERVE_NS);
}

static void hw_mock_host_finalize(GObject *object)
{
    HwMockHost *self = HW_MOCK_HOST(object);

    fw_timer_free(self->serve);
    g_ptr_array_unref(self->guests);
    G_OBJECT_CLASS(hw_mock_host_parent_class)->finalize(object);
}

static void hw_mock_host_class_init(HwMockHostClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_mock_host_finalize;
}

static void hw_mock_host_init(HwMockHost *self)
{
    self->guests = g_ptr_array_new_with_free_func(guest_free);
    self->serve = fw_timer_new(on_serve, self);
}

HwMockHost *hw_mock_host_new(bool fabric)
{
    HwMockHost *self = g_object_new(HW_TYPE_MOCK_HOST, NULL);

    self->fabric = fabric;
    if (fabric) {
        fw_timer_arm(self->serve, SERVE_NS);
    }
    return self;
}

static struct hw_guest *guest_at(HwMockHost *host, unsigned n)
{
    return host->guests->pdata[n];
}

struct hw_mock_board *hw_mock_host_board(HwMockHost *host, uint8_t slot)
{
    for (unsigned n = host->guests->len; n-- > 0;) {
        struct hw_mock_board *board = &guest_at(host, n)->board;

        if (board->start && board->start->slot == slot) {
            return board;
        }
    }
    return NULL;
}

unsigned hw_mock_host_started(HwMockHost *host)
{
    return host->started;
}

void hw_mock_host_set_silent(HwMockHost *host, bool silent)
{
    host->silent = silent;
}

void hw_mock_host_die(HwMockHost *host, struct hw_mock_board *board, int status)
{
    for (unsigned n = 0; n < host->guests->len; n++) {
        if (&guest_at(host, n)->board == board) {
            guest_die(guest_at(host, n), status);
        }
    }
}

void hw_mock_host_serve(HwMockHost *host)
{
    for (unsigned n = 0; n < host->guests->len; n++) {
        struct fabric *fabric = guest_at(host, n)->board.fabric;

        if (fabric) {
            fabric_lane_release(fabric_lane(fabric, 0));
        }
    }
}
