/* bench - see bench.h. */
#include "tests/exchange/iked/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "firmware/core/rng.h"

#define DEADLINE_NS  (20 * FW_SEC)
#define LOCAL        0xc0000201u /* 192.0.2.1, iked */
#define REMOTE       0xc0000202u /* 192.0.2.2, the peer */
#define RECORD_BYTES (1 << 20)

static const char psk[] = "sixteen-byte-psk";

/* ---- SAs ---- */

static struct bench_sa *sa_find(GArray *sas, bool inbound, uint32_t spi)
{
    for (unsigned i = 0; i < sas->len; i++) {
        struct bench_sa *s = &g_array_index(sas, struct bench_sa, i);

        if (s->spi == spi && s->inbound == inbound) {
            return s;
        }
    }
    return NULL;
}

static void sa_remove(GArray *sas, bool inbound, uint32_t spi)
{
    struct bench_sa *s = sa_find(sas, inbound, spi);

    if (s) {
        g_array_remove_index(sas, (guint)(s - (struct bench_sa *)(void *)sas->data));
    }
}

const struct bench_sa *bench_newest(const GArray *sas, bool inbound)
{
    const struct bench_sa *best = NULL;

    for (unsigned i = 0; i < sas->len; i++) {
        const struct bench_sa *s = &g_array_index(sas, struct bench_sa, i);

        if (s->inbound == inbound && !s->larval && (!best || s->order > best->order)) {
            best = s;
        }
    }
    return best;
}

static bool same(const struct bench_sa *x, const struct bench_sa *y)
{
    return x && y && x->spi == y->spi && x->key_len == y->key_len &&
           memcmp(x->key, y->key, x->key_len) == 0;
}

bool bench_agrees(struct bench *b)
{
    return same(bench_newest(b->sas, true), bench_newest(b->peer_sas, false)) &&
           same(bench_newest(b->sas, false), bench_newest(b->peer_sas, true));
}

/* ---- the card ---- */

static void card_reserve(struct bench *b, const struct bus_header *h,
                         const struct bus_spi_reserve *m)
{
    struct bus_spi_reserved r = {(uint32_t)m->anchor << 20 | (fw_rng_secure_u32() & 0xfffff)};
    struct bench_sa s = {.spi = r.spi, .inbound = true, .larval = true};

    g_array_append_val(b->sas, s);
    bus_reply(b->card, h, BUS_SPI_RESERVED, &r);
}

/* Strict: an inbound SPI was reserved before, an outbound key comes once. */
static void card_install(struct bench *b, const struct bus_header *h,
                         const struct bus_sa_install *m)
{
    bool inbound = m->direction == BUS_DIRECTION_INBOUND;
    struct bench_sa *s = sa_find(b->sas, inbound, m->spi);
    struct bench_sa fresh = {.spi = m->spi, .inbound = inbound};

    if (inbound ? !s || !s->larval : s != NULL) {
        bus_reply_error(b->card, h, 2, "no such larval SA, or installed already");
        return;
    }
    if (!s) {
        g_array_append_val(b->sas, fresh);
        s = &g_array_index(b->sas, struct bench_sa, b->sas->len - 1);
    }
    s->larval = false;
    s->key_len = m->key.len;
    memcpy(s->key, m->key.data, m->key.len);
    s->order = ++b->order;
    b->installs++;
    bus_reply_ok(b->card, h);
}

static void card_query(struct bench *b, const struct bus_header *h)
{
    g_autofree struct bus_sa_list *r = g_new0(struct bus_sa_list, 1);

    for (unsigned i = 0; i < b->sas->len && i < G_N_ELEMENTS(r->sas); i++) {
        const struct bench_sa *s = &g_array_index(b->sas, struct bench_sa, i);

        r->sas[i].tunnel = BENCH_TUNNEL;
        r->sas[i].spi = s->spi;
        r->sas[i].direction = s->inbound ? BUS_DIRECTION_INBOUND : BUS_DIRECTION_OUTBOUND;
        r->sas[i].larval = s->larval;
        r->n_sas = i + 1;
    }
    bus_reply(b->card, h, BUS_SA_LIST, r);
}

static void card_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                         int *fds, unsigned n_fds, void *data)
{
    struct bench *b = data;

    switch (h->type) {
    case BUS_SPI_RESERVE:
        card_reserve(b, h, msg);
        return;
    case BUS_SPI_RELEASE:
        sa_remove(b->sas, true, ((const struct bus_spi_release *)msg)->spi);
        break;
    case BUS_SA_INSTALL:
        card_install(b, h, msg);
        return;
    case BUS_SA_DELETE: {
        const struct bus_sa_delete *m = msg;

        sa_remove(b->sas, m->direction == BUS_DIRECTION_INBOUND, m->spi);
        break;
    }
    case BUS_SA_QUERY:
        card_query(b, h);
        return;
    case BUS_STATISTICS_QUERY: {
        g_autofree struct bus_statistics *r = g_new0(struct bus_statistics, 1);

        g_strlcpy(r->counters[0].name, "esp-encrypted-packets", sizeof r->counters[0].name);
        r->counters[0].value = 77;
        r->n_counters = 1;
        bus_reply(conn, h, BUS_STATISTICS, r);
        return;
    }
    default:
        break;
    }
    if (h->kind == BUS_CALL) {
        bus_reply_ok(conn, h);
    }
}

/* ---- ikemd and mgd ---- */

static void ignored(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    const GError *error, void *data)
{
}

void bench_tell(struct bench *b)
{
    struct bus_ike_sync_done done = {1};
    uint16_t to = BUS_RE(BUS_ROLE_IKED);

    bus_call(b->ikemd, to, BUS_IKE_GATEWAY, &b->gateway, 0, ignored, b);
    bus_call(b->ikemd, to, BUS_IKE_TUNNEL, &b->tunnel, 0, ignored, b);
    bus_call(b->ikemd, to, BUS_IKE_SYNC_DONE, &done, 0, ignored, b);
}

static void ikemd_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                          int *fds, unsigned n_fds, void *data)
{
    struct bench *b = data;

    if (h->type == BUS_IKE_HELLO) {
        bench_tell(b);
    } else if (h->type == BUS_TUNNEL_STATUS) {
        b->told = true;
        b->up = ((const struct bus_tunnel_status *)msg)->up;
    }
}

static void mgd_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    if (h->kind == BUS_CALL) {
        bus_reply_ok(conn, h);
    }
}

static void rpc_answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                         const GError *error, void *data)
{
    struct bench *b = data;
    const struct bus_rpc_reply *r = msg;

    if (error || header->type != BUS_RPC_REPLY) {
        b->answer = g_strdup("no answer");
    } else {
        b->answer =
            r->error[0] ? g_strdup(r->error) : g_strndup((const char *)r->xml.data, r->xml.len);
    }
}

void bench_rpc(struct bench *b, const char *name, const char *argument, const char *value)
{
    g_autofree struct bus_rpc_call *m = g_new0(struct bus_rpc_call, 1);

    g_clear_pointer(&b->answer, g_free);
    g_strlcpy(m->name, name, sizeof m->name);
    if (argument) {
        g_strlcpy(m->arguments[0].name, argument, sizeof m->arguments[0].name);
        g_strlcpy(m->arguments[0].value, value ? value : "", sizeof m->arguments[0].value);
        m->n_arguments = 1;
    }
    bus_call(b->mgd, BUS_RE(BUS_ROLE_IKED), BUS_RPC_CALL, m, 0, rpc_answered, b);
}

bool bench_answered(struct bench *b)
{
    return b->answer != NULL;
}

static void router_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                           int *fds, unsigned n_fds, void *data)
{
    if (h->kind == BUS_CALL) {
        bus_reply_error(conn, h, 4, "the bench's router answers nothing");
    }
}

static void closed(struct bus_conn *conn, void *data)
{
}

/* ---- the peer ---- */

static uint16_t ip_checksum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i += 2) {
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* IPv4, UDP without checksum, the marker where it belongs. */
static void peer_send(struct bench *b, const struct ike_action *a)
{
    uint8_t packet[IKE_DATAGRAM_MAX + 64];
    struct fw_emit e = fw_emit(packet, sizeof packet);
    size_t n = 28 + (a->natt ? 4 : 0) + a->n_bytes;

    fw_emit_u16(&e, 0x4500);
    fw_emit_u16(&e, (uint16_t)n);
    fw_emit_u32(&e, 0);
    fw_emit_u16(&e, 64 << 8 | IPPROTO_UDP);
    fw_emit_u16(&e, 0);
    fw_emit_bytes(&e, a->local.bytes, 4);
    fw_emit_bytes(&e, a->remote.bytes, 4);
    fw_emit_patch_u16(&e, 10, ip_checksum(packet, 20));
    fw_emit_u16(&e, a->local_port);
    fw_emit_u16(&e, a->remote_port);
    fw_emit_u16(&e, (uint16_t)(n - 20));
    fw_emit_u16(&e, 0);
    if (a->natt) {
        fw_emit_u32(&e, 0);
    }
    fw_emit_bytes(&e, a->bytes, a->n_bytes);
    if (!e.failed && write(b->tun, packet, n) < 0) {
        b->peer_failures++;
    }
}

static void peer_install(struct bench *b, const struct ike_action *a)
{
    struct bench_sa s = {.spi = a->spi,
                         .inbound = a->direction == IKE_INBOUND,
                         .key_len = a->key_len,
                         .order = ++b->order};

    memcpy(s.key, a->key, a->key_len);
    sa_remove(b->peer_sas, s.inbound, s.spi);
    g_array_append_val(b->peer_sas, s);
}

void bench_peer_pump(struct bench *b)
{
    struct ike_action *a;

    while ((a = ike_action_next(b->peer))) {
        switch (a->kind) {
        case IKE_ACTION_SEND:
            if (!b->peer_dead) {
                peer_send(b, a);
            }
            break;
        case IKE_ACTION_JOB:
            fw_job_run(a->job);
            ike_job_done(b->peer, a->id, a->job, fw_clock_ns());
            break;
        case IKE_ACTION_RESERVE:
            ike_spi_reserved(b->peer, a->id, 0x100000 | (fw_rng_secure_u32() & 0xfffff),
                             fw_clock_ns());
            break;
        case IKE_ACTION_INSTALL:
            peer_install(b, a);
            break;
        case IKE_ACTION_DELETE:
            sa_remove(b->peer_sas, a->direction == IKE_INBOUND, a->spi);
            break;
        case IKE_ACTION_RELEASE:
        case IKE_ACTION_RECORD:
        case IKE_ACTION_UNRECORD:
        case IKE_ACTION_KEYS:
        case IKE_ACTION_EVENT:
            break;
        }
        ike_action_free(a);
    }
    if (ike_deadline_ns(b->peer) != INT64_MAX) {
        fw_timer_arm(b->peer_timer, ike_deadline_ns(b->peer) - fw_clock_ns());
    }
}

static void peer_tick(void *data)
{
    struct bench *b = data;

    ike_tick(b->peer, fw_clock_ns());
    bench_peer_pump(b);
}

static gboolean peer_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct bench *b = data;
    uint8_t packet[IKE_DATAGRAM_MAX + 64];
    ssize_t n = read(fd, packet, sizeof packet);
    struct ike_datagram d = {.local = b->gateway.remote, .remote = b->gateway.local};

    if (n < 28 || packet[0] != 0x45 || packet[9] != IPPROTO_UDP || b->peer_dead) {
        return G_SOURCE_CONTINUE;
    }
    d.remote_port = (uint16_t)(packet[20] << 8 | packet[21]);
    d.local_port = (uint16_t)(packet[22] << 8 | packet[23]);
    d.natt = d.local_port == IKE_NATT_PORT;
    d.bytes = packet + 28 + (d.natt ? 4 : 0);
    d.n_bytes = (size_t)n - 28 - (d.natt ? 4 : 0);
    ike_receive(b->peer, &d, fw_clock_ns());
    bench_peer_pump(b);
    return G_SOURCE_CONTINUE;
}

static void peer_random(void *ret, size_t n, void *data)
{
    fw_rng_secure(ret, n);
}

static void peer_start(struct bench *b)
{
    struct ike_gateway_config g = {.name = "gw",
                                   .local = b->gateway.remote,
                                   .remote = b->gateway.local,
                                   .psk = (const uint8_t *)psk,
                                   .psk_len = sizeof psk - 1,
                                   .n_suites = 1,
                                   .lifetime_ns = 28800 * FW_SEC,
                                   .nat_traversal = true,
                                   .dpd = IKE_DPD_OFF};
    struct ike_tunnel_config t = {.tunnel = BENCH_TUNNEL,
                                  .gateway = "gw",
                                  .n_suites = 1,
                                  .lifetime_ns = 3600 * FW_SEC,
                                  .place = {1, 1, 0, 0, 1}};

    g.suites[0] = (struct ike_suite){FW_ENC_AES_GCM_256, FW_INTEG_NONE, FW_PRF_SHA256, 19};
    t.suites[0] = (struct ike_esp_suite){FW_ENC_AES_GCM_256, FW_INTEG_NONE, 0, false};
    b->peer = ike_new(peer_random, b);
    b->peer_timer = fw_timer_new(peer_tick, b);
    ike_gateway_set(b->peer, &g, fw_clock_ns());
    ike_tunnel_set(b->peer, &t, fw_clock_ns());
    g_unix_fd_add(b->tun, G_IO_IN, peer_readable, b);
}

/* ---- making ---- */

static bool address_set(const char *name, unsigned long request, uint32_t address)
{
    struct ifreq r = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&r.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok;

    g_strlcpy(r.ifr_name, name, sizeof r.ifr_name);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(address);
    ok = ioctl(fd, request, &r) == 0;
    if (ok && request == SIOCSIFNETMASK) {
        r.ifr_flags = IFF_UP | IFF_RUNNING;
        ok = ioctl(fd, SIOCSIFFLAGS, &r) == 0;
    }
    close(fd);
    return ok;
}

static int namespace_make(void)
{
    struct ifreq r = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        printf("no network namespace: %s\n", g_strerror(errno));
        return -1;
    }
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0 || !address_set("tun0", SIOCSIFADDR, LOCAL) ||
        !address_set("tun0", SIOCSIFNETMASK, 0xffffff00u)) {
        printf("no TUN device: %s\n", g_strerror(errno));
        return -1;
    }
    return fd;
}

static void configure(struct bench *b)
{
    struct bus_ike_gateway *g = &b->gateway;
    struct bus_ike_tunnel *t = &b->tunnel;

    g_strlcpy(g->name, "gw", sizeof g->name);
    g->local = fw_addr_v4(LOCAL);
    g->remote = fw_addr_v4(REMOTE);
    g->psk.len = sizeof psk - 1;
    memcpy(g->psk.data, psk, sizeof psk - 1);
    g->proposals[0].encryption = FW_ENC_AES_GCM_256;
    g->proposals[0].prf = FW_PRF_SHA256;
    g->proposals[0].group = 19;
    g->n_proposals = 1;
    g->lifetime_s = 28800;
    g->nat_traversal = true;
    g->dpd_mode = IKE_DPD_OFF;
    t->tunnel = BENCH_TUNNEL;
    g_strlcpy(t->vpn, "vpn-a", sizeof t->vpn);
    g_strlcpy(t->gateway, "gw", sizeof t->gateway);
    g_strlcpy(t->ifl_name, "st0.0", sizeof t->ifl_name);
    g_strlcpy(t->policy, "pol-a", sizeof t->policy);
    t->ifl = 9;
    t->proposals[0].encryption = FW_ENC_AES_GCM_256;
    t->n_proposals = 1;
    t->lifetime_s = 3600;
    t->establish = BUS_ESTABLISH_IMMEDIATELY;
    t->replay_window = 64;
    t->anchor = 1;
    t->slot = BENCH_SLOT;
    t->thread = 3;
    t->generation = 1;
}

static struct bus_conn *seat(struct bench *b, uint16_t address, const struct bus_handler *handler)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        g_error("socketpair: %s", g_strerror(errno));
    }
    bus_router_add(b->router, fds[0], address, 0xffff);
    return bus_conn_new(fds[1], address, handler, b);
}

static void iked_start(struct bench *b)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = g_path_get_dirname(self);
    g_autofree char *program = g_build_filename(here, "..", "bin", "vc-iked", NULL);
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        g_error("socketpair: %s", g_strerror(errno));
    }
    b->pid = fork();
    if (b->pid == 0) {
        int bus = fcntl(fds[1], F_DUPFD, 10), records = fcntl(b->records, F_DUPFD, 10);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(bus, 3);
        dup2(records, 4);
        close_range(5, ~0u, 0);
        execl(program, "vc-iked", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    bus_router_add(b->router, fds[0], BUS_RE(BUS_ROLE_IKED), 0xffff);
}

struct bench *bench_new(void)
{
    static const struct bus_handler card = {card_message, closed}, ikemd = {ikemd_message, closed},
                                    mgd = {mgd_message, closed}, self = {router_message, closed};
    static const uint16_t wanted[] = {BUS_TUNNEL_STATUS, 0};
    struct bench *b;
    int tun = namespace_make();

    if (tun < 0) {
        return NULL;
    }
    b = g_new0(struct bench, 1);
    b->tun = tun;
    b->sas = g_array_new(FALSE, TRUE, sizeof(struct bench_sa));
    b->peer_sas = g_array_new(FALSE, TRUE, sizeof(struct bench_sa));
    b->records = memfd_create("records", MFD_CLOEXEC);
    if (b->records < 0 || ftruncate(b->records, RECORD_BYTES) != 0) {
        g_error("records: %s", g_strerror(errno));
    }
    configure(b);
    b->router = bus_router_new(&self, b);
    b->ikemd = seat(b, BUS_RE(BUS_ROLE_IKEMD), &ikemd);
    b->mgd = seat(b, BUS_RE(BUS_ROLE_MGD), &mgd);
    b->card = seat(b, BUS_ADDRESS(BENCH_SLOT, BUS_ROLE_BOARD), &card);
    bus_subscribe(b->ikemd, wanted);
    peer_start(b);
    iked_start(b);
    return b;
}

static void iked_end(struct bench *b, int signal)
{
    kill(b->pid, signal);
    waitpid(b->pid, NULL, 0);
}

void bench_kill(struct bench *b)
{
    iked_end(b, SIGKILL);
    bus_router_remove(b->router, BUS_RE(BUS_ROLE_IKED));
    b->told = false;
    iked_start(b);
}

void bench_free(struct bench *b)
{
    iked_end(b, SIGTERM);
    bus_conn_free(b->ikemd);
    bus_conn_free(b->mgd);
    bus_conn_free(b->card);
    bus_router_free(b->router);
    ike_free(b->peer);
    fw_timer_free(b->peer_timer);
    g_array_free(b->sas, TRUE);
    g_array_free(b->peer_sas, TRUE);
    g_free(b->answer);
    close(b->tun);
    close(b->records);
    g_free(b);
}

static void wake(void *data)
{
    *(bool *)data = true;
}

bool bench_wait(struct bench *b, bool (*done)(struct bench *b))
{
    int64_t end = fw_clock_ns() + DEADLINE_NS;
    bool late = false;
    struct fw_timer *timer = fw_timer_new(wake, &late);

    fw_timer_arm(timer, DEADLINE_NS);
    while (!done(b) && fw_clock_ns() < end) {
        g_main_context_iteration(NULL, TRUE);
    }
    fw_timer_free(timer);
    return done(b);
}
