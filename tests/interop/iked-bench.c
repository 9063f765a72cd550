/*
 * iked-bench - one vc-iked on the bench: a bus router, an ikemd and a services card around it.
 *
 *   iked-bench PROGRAM LOCAL REMOTE PSK IKE-ENCRYPTION ESP-ENCRYPTION [responder]
 *
 * Run inside the network namespace that has LOCAL. Commands on standard input, a line each:
 *   anchor N     the tunnel moves to anchor N, all SAs of the old one are gone
 *   lose         the card forgets its SAs (a query shows none)
 *   kill         SIGKILL for iked, then a new one with the same records
 *   rpc NAME [ARGUMENT [VALUE]]   run an RPC and print its XML
 *   quit
 * On standard output: "status up", "install inbound SPI ...", "delete ...", "iked started PID".
 * A tool for tests; the card part answers, it encrypts nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "firmware/bus/bus.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/crypto/alg.h"
#include "messages.h"

#define TUNNEL 500001u
#define SLOT   1

struct card_sa {
    uint32_t spi;
    enum bus_direction direction;
    bool larval;
};

static struct {
    GMainLoop *loop;
    struct bus_router *router;
    struct bus_conn *ikemd, *card, *mgd;
    GArray *sas;
    int records;
    pid_t pid;
    char **argv;
    struct bus_ike_gateway gateway;
    struct bus_ike_tunnel tunnel;
} bench;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

static struct card_sa *card_find(uint32_t spi, enum bus_direction direction)
{
    for (unsigned i = 0; i < bench.sas->len; i++) {
        struct card_sa *s = &g_array_index(bench.sas, struct card_sa, i);

        if (s->spi == spi && s->direction == direction) {
            return s;
        }
    }
    return NULL;
}

static void card_remove(uint32_t spi, enum bus_direction direction)
{
    struct card_sa *s = card_find(spi, direction);

    if (s) {
        g_array_remove_index(bench.sas, (guint)(s - (struct card_sa *)(void *)bench.sas->data));
    }
}

static void card_install(struct bus_conn *conn, const struct bus_header *h,
                         const struct bus_sa_install *m)
{
    bool inbound = m->direction == BUS_DIRECTION_INBOUND;
    struct card_sa *s = card_find(m->spi, m->direction);

    if (inbound ? !s || !s->larval : s != NULL) {
        say("refused %s 0x%08x\n", inbound ? "inbound" : "outbound", m->spi);
        bus_reply_error(conn, h, 2, "no such larval SA, or installed already");
        return;
    }
    if (!s) {
        struct card_sa fresh = {m->spi, m->direction, false};

        g_array_append_val(bench.sas, fresh);
    } else {
        s->larval = false;
    }
    say("install %s 0x%08x anchor %u encap %u/%u\n", inbound ? "inbound" : "outbound", m->spi,
        m->anchor, m->encap_local, m->encap_remote);
    bus_reply_ok(conn, h);
}

static void card_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                         int *fds, unsigned n_fds, void *data)
{
    (void)fds;
    (void)n_fds;
    (void)data;
    switch (h->type) {
    case BUS_SPI_RESERVE: {
        const struct bus_spi_reserve *m = msg;
        struct bus_spi_reserved r = {(uint32_t)m->anchor << 20 | (fw_rng_secure_u32() & 0xfffff)};
        struct card_sa s = {r.spi, BUS_DIRECTION_INBOUND, true};

        g_array_append_val(bench.sas, s);
        bus_reply(conn, h, BUS_SPI_RESERVED, &r);
        return;
    }
    case BUS_SPI_RELEASE:
        card_remove(((const struct bus_spi_release *)msg)->spi, BUS_DIRECTION_INBOUND);
        bus_reply_ok(conn, h);
        return;
    case BUS_SA_INSTALL:
        card_install(conn, h, msg);
        return;
    case BUS_SA_DELETE: {
        const struct bus_sa_delete *m = msg;

        say("delete %s 0x%08x\n", m->direction == BUS_DIRECTION_INBOUND ? "inbound" : "outbound",
            m->spi);
        card_remove(m->spi, m->direction);
        bus_reply_ok(conn, h);
        return;
    }
    case BUS_SA_QUERY: {
        g_autofree struct bus_sa_list *r = g_new0(struct bus_sa_list, 1);

        for (unsigned i = 0; i < bench.sas->len && i < G_N_ELEMENTS(r->sas); i++) {
            const struct card_sa *s = &g_array_index(bench.sas, struct card_sa, i);

            r->sas[r->n_sas].tunnel = TUNNEL;
            r->sas[r->n_sas].spi = s->spi;
            r->sas[r->n_sas].direction = s->direction;
            r->sas[r->n_sas++].larval = s->larval;
        }
        bus_reply(conn, h, BUS_SA_LIST, r);
        return;
    }
    case BUS_STATISTICS_QUERY: {
        g_autofree struct bus_statistics *r = g_new0(struct bus_statistics, 1);

        g_strlcpy(r->counters[0].name, "esp-encrypted-packets", sizeof r->counters[0].name);
        r->counters[0].value = 7;
        r->n_counters = 1;
        bus_reply(conn, h, BUS_STATISTICS, r);
        return;
    }
    default:
        if (h->kind == BUS_CALL) {
            bus_reply_error(conn, h, 4, "not on this card");
        }
    }
}

static void told(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                 const GError *error, void *data)
{
    (void)conn;
    (void)data;
    if (error || header->type == BUS_ERROR) {
        say("iked refused: %s\n", error ? error->message : ((const struct bus_error *)msg)->text);
    }
}

static void tell(void)
{
    struct bus_ike_sync_done done = {1};

    bus_call(bench.ikemd, BUS_RE(BUS_ROLE_IKED), BUS_IKE_GATEWAY, &bench.gateway, 0, told, NULL);
    bus_call(bench.ikemd, BUS_RE(BUS_ROLE_IKED), BUS_IKE_TUNNEL, &bench.tunnel, 0, told, NULL);
    bus_call(bench.ikemd, BUS_RE(BUS_ROLE_IKED), BUS_IKE_SYNC_DONE, &done, 0, told, NULL);
}

static void ikemd_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                          int *fds, unsigned n_fds, void *data)
{
    (void)conn;
    (void)fds;
    (void)n_fds;
    (void)data;
    if (h->type == BUS_IKE_HELLO) {
        tell();
    } else if (h->type == BUS_TUNNEL_STATUS) {
        say("status %s\n", ((const struct bus_tunnel_status *)msg)->up ? "up" : "down");
    }
}

static void mgd_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    (void)msg;
    (void)fds;
    (void)n_fds;
    (void)data;
    if (h->kind == BUS_CALL) {
        bus_reply_ok(conn, h);
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
}

static void router_message(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                           int *fds, unsigned n_fds, void *data)
{
    (void)msg;
    (void)fds;
    (void)n_fds;
    (void)data;
    if (h->kind == BUS_CALL) {
        bus_reply_error(conn, h, 4, "the bench's router answers nothing");
    }
}

static struct bus_conn *seat(uint16_t address, const struct bus_handler *handler)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
        exit(3);
    }
    bus_router_add(bench.router, fds[0], address, 0xffff);
    return bus_conn_new(fds[1], address, handler, NULL);
}

static void iked_start(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0) {
        exit(3);
    }
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    bench.pid = fork();
    if (bench.pid == 0) {
        int bus = fcntl(fds[1], F_DUPFD, 10), records = fcntl(bench.records, F_DUPFD, 10);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(bus, 3);
        dup2(records, 4);
        close_range(5, ~0u, 0);
        execl(bench.argv[1], "vc-iked", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    bus_router_add(bench.router, fds[0], BUS_RE(BUS_ROLE_IKED), 0xffff);
    say("iked started %d\n", (int)bench.pid);
}

static void rpc_answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                         const GError *error, void *data)
{
    const struct bus_rpc_reply *r = msg;

    (void)conn;
    (void)data;
    if (error || header->type != BUS_RPC_REPLY) {
        say("rpc failed: %s\n", error ? error->message : "error");
    } else if (r->error[0]) {
        say("rpc refused: %s\n", r->error);
    } else {
        say("rpc %.*s\n", (int)r->xml.len, (const char *)r->xml.data);
    }
}

static void rpc(char **words)
{
    g_autofree struct bus_rpc_call *m = g_new0(struct bus_rpc_call, 1);

    g_strlcpy(m->name, words[1] ? words[1] : "", sizeof m->name);
    if (words[1] && words[2]) {
        g_strlcpy(m->arguments[0].name, words[2], sizeof m->arguments[0].name);
        g_strlcpy(m->arguments[0].value, words[3] ? words[3] : "", sizeof m->arguments[0].value);
        m->n_arguments = 1;
    }
    bus_call(bench.mgd, BUS_RE(BUS_ROLE_IKED), BUS_RPC_CALL, m, 0, rpc_answered, NULL);
}

static gboolean command(gint fd, GIOCondition condition, gpointer data)
{
    static char line[256];
    (void)condition;
    (void)data;
    (void)fd;
    if (!fgets(line, sizeof line, stdin)) {
        g_main_loop_quit(bench.loop);
        return G_SOURCE_REMOVE;
    }
    g_auto(GStrv) words = g_strsplit(g_strstrip(line), " ", 4);

    if (!words[0]) {
        return G_SOURCE_CONTINUE;
    }
    if (strcmp(words[0], "anchor") == 0 && words[1]) {
        bench.tunnel.anchor = (uint16_t)atoi(words[1]);
        bench.tunnel.generation++;
        g_array_set_size(bench.sas, 0);
        bus_call(bench.ikemd, BUS_RE(BUS_ROLE_IKED), BUS_IKE_TUNNEL, &bench.tunnel, 0, told, NULL);
    } else if (strcmp(words[0], "lose") == 0) {
        g_array_set_size(bench.sas, 0);
    } else if (strcmp(words[0], "kill") == 0) {
        kill(bench.pid, SIGKILL);
        waitpid(bench.pid, NULL, 0);
        bus_router_remove(bench.router, BUS_RE(BUS_ROLE_IKED));
        iked_start();
    } else if (strcmp(words[0], "rpc") == 0) {
        rpc(words);
    } else if (strcmp(words[0], "quit") == 0) {
        g_main_loop_quit(bench.loop);
    }
    return G_SOURCE_CONTINUE;
}

static bool configure(int argc, char **argv)
{
    enum fw_enc ike = fw_enc_by_config(argv[5]), esp = fw_enc_by_config(argv[6]);
    struct bus_ike_gateway *g = &bench.gateway;
    struct bus_ike_tunnel *t = &bench.tunnel;

    g_strlcpy(g->name, "gw", sizeof g->name);
    g->psk.len = (uint16_t)strlen(argv[4]);
    memcpy(g->psk.data, argv[4], MIN(strlen(argv[4]), sizeof g->psk.data));
    g->proposals[0].encryption = (uint16_t)ike;
    g->proposals[0].integrity = fw_enc_row(ike)->aead ? FW_INTEG_NONE : FW_INTEG_SHA256_128;
    g->proposals[0].prf = FW_PRF_SHA256;
    g->proposals[0].group = 19;
    g->n_proposals = 1;
    g->lifetime_s = 28800;
    g->nat_traversal = true;
    g->nat_keepalive_s = 20;
    g->dpd_mode = 2;
    g->dpd_interval_s = 10;
    g->dpd_threshold = 5;
    t->tunnel = TUNNEL;
    g_strlcpy(t->vpn, "vpn-a", sizeof t->vpn);
    g_strlcpy(t->gateway, "gw", sizeof t->gateway);
    g_strlcpy(t->ifl_name, "st0.0", sizeof t->ifl_name);
    g_strlcpy(t->policy, "pol-a", sizeof t->policy);
    t->ifl = 9;
    t->proposals[0].encryption = (uint16_t)esp;
    t->proposals[0].integrity = fw_enc_row(esp)->aead ? FW_INTEG_NONE : FW_INTEG_SHA256_128;
    t->n_proposals = 1;
    t->lifetime_s = 3600;
    t->establish = argc > 7 ? BUS_ESTABLISH_RESPONDER_ONLY : BUS_ESTABLISH_IMMEDIATELY;
    t->replay_window = 64;
    t->anchor = 1;
    t->slot = SLOT;
    t->thread = 3;
    t->generation = 1;
    return ike && esp && fw_addr_parse(argv[2], &g->local) && fw_addr_parse(argv[3], &g->remote);
}

int main(int argc, char **argv)
{
    static const struct bus_handler card = {card_message, closed}, ikemd = {ikemd_message, closed},
                                    mgd = {mgd_message, closed}, self = {router_message, closed};
    static const uint16_t wanted[] = {BUS_TUNNEL_STATUS, 0};

    if (argc < 7 || !configure(argc, argv)) {
        fprintf(stderr, "usage: see the head of tests/interop/iked-bench.c\n");
        return 2;
    }
    fw_log_init("bench");
    bench.argv = argv;
    bench.loop = g_main_loop_new(NULL, FALSE);
    bench.sas = g_array_new(FALSE, TRUE, sizeof(struct card_sa));
    bench.records = memfd_create("records", MFD_CLOEXEC);
    if (bench.records < 0 || ftruncate(bench.records, 1 << 20) != 0) {
        return 3;
    }
    setvbuf(stdin, NULL, _IONBF, 0);
    bench.router = bus_router_new(&self, NULL);
    bench.ikemd = seat(BUS_RE(BUS_ROLE_IKEMD), &ikemd);
    bench.mgd = seat(BUS_RE(BUS_ROLE_MGD), &mgd);
    bench.card = seat(BUS_ADDRESS(SLOT, BUS_ROLE_BOARD), &card);
    bus_subscribe(bench.ikemd, wanted);
    iked_start();
    g_unix_fd_add(0, G_IO_IN | G_IO_HUP, command, NULL);
    g_main_loop_run(bench.loop);
    kill(bench.pid, SIGTERM);
    waitpid(bench.pid, NULL, 0);
    return 0;
}
