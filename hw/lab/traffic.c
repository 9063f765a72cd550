/*
 * traffic - program vc-traffic: a lab host that lives in memory.
 *
 * It sits on a datagram link (descriptor 4), answers ARP and ICMP echo for its
 * addresses, sends UDP flows at a rate and checks those it receives. labd
 * controls it over descriptor 3 with the traffic-* messages. One main loop; a
 * flow's packets leave in small bursts as they become due. What the link does
 * not take stays due (a sender never drops its own packets silently).
 * Limits: FLOWS_MAX flows each way, IPv4, ARP entries for NEIGHBOURS_MAX.
 */
#include <errno.h>
#include <getopt.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/core/timer.h"
#include "hw/lab/labfile.h"
#include "hw/lab/traffic_flow.h"
#include "hw/lab/traffic_packet.h"
#include "messages.h"

#define BUS_FD         3
#define LINK_FD        4
#define FLOWS_MAX      32  /* each way: the report holds 64 */
#define NEIGHBOURS_MAX 64
#define BURST          128 /* packets of a flow, and frames read, per turn of the loop */
#define ARP_RETRY_NS   (200 * FW_MS)
#define TICK_NS        FW_MS
#define OWN_ADDRESS    BUS_ADDRESS(0xfc, 0)

struct sender {
    struct bus_traffic_start start;
    uint32_t id;
    uint64_t sent;
    int64_t started_ns; /* 0: the next hop is not resolved yet */
    int64_t asked_ns;   /* last ARP request */
    bool running;
};

struct receiver {
    char name[TRAFFIC_NAME_MAX + 1];
    uint32_t id;
    struct traffic_receiver stats;
};

struct neighbour {
    struct fw_addr address;
    uint8_t mac[6];
};

static struct {
    GMainLoop *loop;
    struct bus_conn *bus;
    struct fw_timer *timer;
    uint8_t mac[6];
    unsigned n_addresses;
    struct fw_prefix addresses[LAB_ADDRESSES_MAX];
    struct fw_addr gateway;
    unsigned n_senders, n_receivers, n_neighbours;
    struct sender senders[FLOWS_MAX];
    struct receiver receivers[FLOWS_MAX];
    struct neighbour neighbours[NEIGHBOURS_MAX];
    uint8_t frame[TRAFFIC_FRAME_MAX];
    uint8_t out[TRAFFIC_FRAME_MAX];
} host;

/* ---- the link ---- */

/* false: the link is full now. */
static bool link_send(const struct fw_emit *e)
{
    return !e->failed && send(LINK_FD, e->start, fw_emit_len(e), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool is_own(const struct fw_addr *address)
{
    for (unsigned n = 0; n < host.n_addresses; n++) {
        if (fw_addr_equal(&host.addresses[n].addr, address)) {
            return true;
        }
    }
    return false;
}

static struct neighbour *neighbour_find(const struct fw_addr *address)
{
    for (unsigned n = 0; n < host.n_neighbours; n++) {
        if (fw_addr_equal(&host.neighbours[n].address, address)) {
            return &host.neighbours[n];
        }
    }
    return NULL;
}

static void neighbour_learn(const struct traffic_frame *frame)
{
    struct neighbour *neighbour = neighbour_find(&frame->source);

    if (!neighbour) {
        if (host.n_neighbours == NEIGHBOURS_MAX) {
            host.n_neighbours = 0; /* all are asked for again */
        }
        neighbour = &host.neighbours[host.n_neighbours++];
        neighbour->address = frame->source;
    }
    memcpy(neighbour->mac, frame->source_mac, sizeof(neighbour->mac));
}

static void flow_note(const struct traffic_frame *frame, int64_t now)
{
    struct receiver *receiver = NULL;

    for (unsigned n = 0; n < host.n_receivers && !receiver; n++) {
        if (strcmp(host.receivers[n].name, frame->name) == 0) {
            receiver = &host.receivers[n];
        }
    }
    if (!receiver && host.n_receivers < FLOWS_MAX) {
        receiver = &host.receivers[host.n_receivers++];
        receiver->id = ~frame->flow;
    }
    if (!receiver) {
        return;
    }
    if (receiver->id != frame->flow) { /* the flow was started anew */
        g_strlcpy(receiver->name, frame->name, sizeof(receiver->name));
        receiver->id = frame->flow;
        traffic_receiver_init(&receiver->stats);
    }
    if (frame->kind == TRAFFIC_CORRUPT) {
        receiver->stats.corrupt++;
        return;
    }
    traffic_receiver_note(&receiver->stats, frame->sequence, frame->sent_ns, now);
}

static void frame_take(size_t len)
{
    struct fw_emit e = fw_emit(host.out, sizeof(host.out));
    struct traffic_frame frame;

    traffic_frame_parse(host.frame, len, &frame);
    switch (frame.kind) {
    case TRAFFIC_OTHER:
        break;
    case TRAFFIC_ARP_REQUEST:
        if (is_own(&frame.destination)) {
            neighbour_learn(&frame);
            traffic_arp_emit(&e, 2, host.mac, &frame.destination, frame.source_mac, &frame.source);
            link_send(&e);
        }
        break;
    case TRAFFIC_ARP_REPLY:
        neighbour_learn(&frame);
        fw_timer_arm(host.timer, 0);
        break;
    case TRAFFIC_ECHO_REQUEST:
        if (is_own(&frame.destination)) {
            traffic_echo_emit(&e, host.mac, &frame);
            link_send(&e);
        }
        break;
    case TRAFFIC_FLOW:
    case TRAFFIC_CORRUPT:
        if (is_own(&frame.destination)) {
            flow_note(&frame, fw_clock_ns());
        }
        break;
    }
}

static gboolean on_link(gint fd, GIOCondition condition, gpointer data)
{
    for (unsigned n = 0; n < BURST; n++) {
        ssize_t len = recv(fd, host.frame, sizeof(host.frame), MSG_DONTWAIT);

        if (len <= 0) {
            break;
        }
        frame_take((size_t)len);
    }
    return G_SOURCE_CONTINUE;
}

/* ---- sending ---- */

static const struct fw_addr *next_hop(const struct fw_addr *destination)
{
    for (unsigned n = 0; n < host.n_addresses; n++) {
        struct fw_prefix network = fw_prefix_network(&host.addresses[n]);

        if (fw_prefix_contains(&network, destination)) {
            return destination;
        }
    }
    return host.gateway.family == FW_FAMILY_NONE ? NULL : &host.gateway;
}

/* Returns when the sender wants to be looked at again, INT64_MAX for never. */
static int64_t sender_run(struct sender *sender, int64_t now)
{
    const struct bus_traffic_start *start = &sender->start;
    const struct fw_addr *hop = next_hop(&start->destination);
    struct neighbour *neighbour = hop ? neighbour_find(hop) : NULL;
    struct traffic_send packet;
    uint64_t due;

    if (!sender->running || !hop) {
        return INT64_MAX;
    }
    if (!neighbour) {
        if (sender->asked_ns == 0 || now - sender->asked_ns >= ARP_RETRY_NS) {
            struct fw_emit e = fw_emit(host.out, sizeof(host.out));

            traffic_arp_emit(&e, 1, host.mac, &start->source, NULL, hop);
            link_send(&e);
            sender->asked_ns = now;
        }
        return sender->asked_ns + ARP_RETRY_NS;
    }
    if (!sender->started_ns) {
        sender->started_ns = now;
    }
    due = traffic_due(start->rate_pps, now - sender->started_ns);
    if (start->count && due > start->count) {
        due = start->count;
    }
    packet = (struct traffic_send){.source = start->source, .destination = start->destination,
                                   .source_port = start->source_port,
                                   .destination_port = start->destination_port,
                                   .size = start->size, .flow = sender->id, .name = start->flow};
    memcpy(packet.source_mac, host.mac, 6);
    memcpy(packet.destination_mac, neighbour->mac, 6);
    for (unsigned n = 0; n < BURST && sender->sent < due; n++) {
        struct fw_emit e = fw_emit(host.out, sizeof(host.out));

        packet.sequence = sender->sent;
        packet.sent_ns = fw_clock_ns();
        traffic_flow_emit(&e, &packet);
        if (!link_send(&e)) {
            break;
        }
        sender->sent++;
    }
    if (start->count && sender->sent >= start->count) {
        sender->running = false;
        return INT64_MAX;
    }
    if (sender->sent < due) {
        return now + TICK_NS;
    }
    return MAX(now + TICK_NS, sender->started_ns + (int64_t)(sender->sent / start->rate_pps) *
                              FW_SEC + (int64_t)(sender->sent % start->rate_pps) * FW_SEC /
                              start->rate_pps);
}

static void on_timer(void *data)
{
    int64_t now = fw_clock_ns();
    int64_t next = INT64_MAX;

    for (unsigned n = 0; n < host.n_senders; n++) {
        next = MIN(next, sender_run(&host.senders[n], now));
    }
    if (next != INT64_MAX) {
        fw_timer_arm(host.timer, next - now);
    }
}

/* ---- control ---- */

static void start_flow(struct bus_conn *conn, const struct bus_header *header,
                       const struct bus_traffic_start *start)
{
    struct sender *sender = NULL;

    for (unsigned n = 0; n < host.n_senders && !sender; n++) {
        if (strcmp(host.senders[n].start.flow, start->flow) == 0) {
            sender = &host.senders[n];
        }
    }
    if (start->destination.family != FW_FAMILY_V4 || !next_hop(&start->destination)) {
        bus_reply_error(conn, header, 2, "flow %s: the destination cannot be reached; give an "
                        "IPv4 address of the own network, or the host a gateway", start->flow);
        return;
    }
    if (start->source.family != FW_FAMILY_NONE && !is_own(&start->source)) {
        bus_reply_error(conn, header, 2, "flow %s: the source is not an address of this host",
                        start->flow);
        return;
    }
    if (!*start->flow || start->size < TRAFFIC_SIZE_MIN + strlen(start->flow) ||
        start->size > TRAFFIC_SIZE_MAX || start->rate_pps == 0) {
        bus_reply_error(conn, header, 2, "flow '%s': a name, a rate above 0 and a size from %zu to "
                        "%d are wanted", start->flow, TRAFFIC_SIZE_MIN + strlen(start->flow),
                        TRAFFIC_SIZE_MAX);
        return;
    }
    if (!sender && host.n_senders == FLOWS_MAX) {
        bus_reply_error(conn, header, 1, "this host sends %d flows already", FLOWS_MAX);
        return;
    }
    if (!sender) {
        sender = &host.senders[host.n_senders++];
    }
    *sender = (struct sender){.start = *start, .id = fw_rng_secure_u32(), .running = true};
    if (start->source.family == FW_FAMILY_NONE) {
        sender->start.source = host.addresses[0].addr;
    }
    fw_timer_arm(host.timer, 0);
    bus_reply_ok(conn, header);
}

static void stop_flow(struct bus_conn *conn, const struct bus_header *header,
                      const struct bus_traffic_stop *stop)
{
    bool found = !*stop->flow;

    for (unsigned n = 0; n < host.n_senders; n++) {
        if (!*stop->flow || strcmp(host.senders[n].start.flow, stop->flow) == 0) {
            host.senders[n].running = false;
            found = true;
        }
    }
    if (found) {
        bus_reply_ok(conn, header);
    } else {
        bus_reply_error(conn, header, 2, "this host sends no flow '%s'", stop->flow);
    }
}

static void report(struct bus_conn *conn, const struct bus_header *header)
{
    struct bus_traffic_report *reply = g_new0(struct bus_traffic_report, 1);

    for (unsigned n = 0; n < host.n_senders; n++) {
        struct bus_flow_report *flow = &reply->flows[reply->n_flows++];

        g_strlcpy(flow->flow, host.senders[n].start.flow, sizeof(flow->flow));
        flow->sender = true;
        flow->sent = host.senders[n].sent;
        flow->running = host.senders[n].running;
    }
    for (unsigned n = 0; n < host.n_receivers; n++) {
        struct bus_flow_report *flow = &reply->flows[reply->n_flows++];
        const struct traffic_receiver *stats = &host.receivers[n].stats;

        g_strlcpy(flow->flow, host.receivers[n].name, sizeof(flow->flow));
        flow->received = stats->received;
        flow->lost = traffic_receiver_lost(stats);
        flow->duplicated = stats->duplicated;
        flow->reordered = stats->reordered;
        flow->outage_ns = stats->outage_ns;
        flow->latency_min_ns = stats->latency_min_ns;
        flow->latency_max_ns = stats->latency_max_ns;
        flow->latency_mean_ns = traffic_receiver_mean_ns(stats);
        flow->corrupt = stats->corrupt;
    }
    bus_reply(conn, header, BUS_TRAFFIC_REPORT, reply);
    g_free(reply);
}

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
    switch (header->type) {
    case BUS_TRAFFIC_START:
        start_flow(conn, header, msg);
        break;
    case BUS_TRAFFIC_STOP:
        stop_flow(conn, header, msg);
        break;
    case BUS_TRAFFIC_QUERY:
        report(conn, header);
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(conn, header, 4, "a traffic host does not know this call");
        }
    }
}

static void on_closed(struct bus_conn *conn, void *data)
{
    g_main_loop_quit(host.loop);
}

static int usage(void)
{
    fprintf(stderr, "usage: vc-traffic --name NAME --address PREFIX... [--gateway ADDRESS] "
                    "(started by vc-labd)\n");
    return 2;
}

/* 02:5d and four bytes of the name's FNV-1a hash. */
static void mac_of(const char *name, uint8_t *ret)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++) {
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    }
    ret[0] = 0x02;
    ret[1] = 0x5d;
    for (unsigned n = 0; n < 4; n++) {
        ret[2 + n] = (uint8_t)(hash >> (24 - 8 * n));
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                            {"address", required_argument, NULL, 'a'},
                                            {"gateway", required_argument, NULL, 'g'},
                                            {NULL, 0, NULL, 0}};
    static const struct bus_handler handler = {on_message, on_closed};
    const char *name = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'n') {
            name = optarg;
        } else if (option == 'a' && host.n_addresses < LAB_ADDRESSES_MAX &&
                   fw_prefix_parse(optarg, &host.addresses[host.n_addresses])) {
            host.n_addresses++;
        } else if (option != 'g' || !fw_addr_parse(optarg, &host.gateway)) {
            return usage();
        }
    }
    if (!name || host.n_addresses == 0 || optind != argc) {
        return usage();
    }
    fw_log_init("traffic");
    mac_of(name, host.mac);
    host.loop = g_main_loop_new(NULL, FALSE);
    host.timer = fw_timer_new(on_timer, NULL);
    host.bus = bus_conn_new(BUS_FD, OWN_ADDRESS, &handler, NULL);
    g_unix_fd_add(LINK_FD, G_IO_IN, on_link, NULL);
    g_main_loop_run(host.loop);
    bus_conn_free(host.bus);
    fw_timer_free(host.timer);
    g_main_loop_unref(host.loop);
    return 0;
}
