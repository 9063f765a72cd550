/*
 * demo - the verb `vchassis demo`: boots the lab site-to-site, brings its tunnel up, pings through
 * it, and proves on the wire what it says.
 *
 * It uses nothing but the product's own verbs (and tshark to read the capture), in the order a
 * person would: up, cli, capture, exec, down. Each step prints what it does and what it found;
 * the first thing that did not happen is named, and the exit status is 1. The capture and the key
 * tables stay in the output directory.
 *
 * Limits: blocking, single-threaded, one demo per output directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

#define LAB       "site-to-site"
#define PINGS     5
#define FAR_HOST  "10.2.2.10"
#define NEAR_HOST "alice"
#define MIDDLE    "xe-1/0/1"

struct demo {
    char *self;
    char *lab_file;
    char *output;    /* capture and keys */
    char *pcap;
    char *keys;      /* directory with esp_sa and ikev2_decryption_table */
    pid_t capture;
    bool up;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void usage(FILE *out)
{
    fputs("usage: vchassis demo [--output DIR] [--no-cli]\n"
          "Boots two virtual SRX5800 chassis, negotiates IKEv2, pings through an IPsec tunnel on\n"
          "their services cards and proves it on the wire. Then offers the CLI on a terminal.\n"
          "  --output DIR  where the capture and the key tables are kept (./vchassis-demo)\n"
          "  --no-cli      end without offering the CLI\n"
          "Exit status: 0 when everything happened, 1 otherwise, 2 usage.\n",
          out);
}

/* Run a command; its output is returned (and shown when `show`). Status -1: it did not start. */
static char *run(int *ret_status, bool show, const char *const *argv)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    g_autoptr(GError) error = NULL;
    int status = 0;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                      &status, &error)) {
        fprintf(stderr, "%s\n", error->message);
        *ret_status = -1;
        return g_strdup("");
    }
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (show && out) {
        fputs(out, stdout);
    }
    if (*ret_status != 0 && err && *err) {
        fputs(err, stderr);
    }
    fflush(stdout);
    return g_steal_pointer(&out);
}

#define RUN(status, show, ...) run((status), (show), (const char *const[]){__VA_ARGS__, NULL})

static char *cli(const struct demo *d, const char *node, const char *command, bool show)
{
    int status;

    if (show) {
        printf("\n%s> %s\n", node, command);
    }
    return RUN(&status, show, d->self, "cli", "--lab", LAB, node, command);
}

static bool boot(struct demo *d, GError **error)
{
    const char *argv[] = {d->self, "up", d->lab_file, "--detach", NULL};
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        execv(d->self, (char **)argv);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "the lab did not boot (see above)");
    }
    d->up = true;
    return true;
}

static bool start_capture(struct demo *d, GError **error)
{
    unlink(d->pcap);
    fflush(stdout);
    d->capture = fork();
    if (d->capture == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl(d->self, d->self, "capture", "--lab", LAB, "left", MIDDLE, d->pcap, (char *)NULL);
        _exit(127);
    }
    for (int64_t end = fw_clock_ns() + 10 * FW_SEC; fw_clock_ns() < end && !interrupted;) {
        struct stat st;

        if (stat(d->pcap, &st) == 0 && st.st_size > 0) { /* the section header is there */
            return true;
        }
        if (waitpid(d->capture, NULL, WNOHANG) == d->capture) {
            d->capture = 0;
            break;
        }
        poll(NULL, 0, 20);
    }
    return fw_fail(error, FW_ERROR_UNAVAILABLE, "capture of left %s did not start", MIDDLE);
}

static void stop_capture(struct demo *d)
{
    if (d->capture > 0) {
        kill(d->capture, SIGINT);
        waitpid(d->capture, NULL, 0);
        d->capture = 0;
    }
}

/* The tunnel is up when both ends show an active tunnel. */
static bool wait_tunnel(const struct demo *d, GError **error)
{
    int64_t started = fw_clock_ns();

    while (fw_clock_ns() - started < 30 * FW_SEC && !interrupted) {
        g_autofree char *l = cli(d, "left", "show security ipsec security-associations", false);
        g_autofree char *r = cli(d, "right", "show security ipsec security-associations", false);

        if (strstr(l, "Total active tunnels: 1") && strstr(r, "Total active tunnels: 1")) {
            printf("tunnel up after %.2f s\n", (double)(fw_clock_ns() - started) / 1e9);
            return true;
        }
        poll(NULL, 0, 100);
    }
    return fw_fail(error, FW_ERROR_UNAVAILABLE,
                   "the tunnel did not come up within 30 s; vchassis log --lab " LAB " left shows "
                   "why; if the configuration was changed in an earlier run, vchassis wipe " LAB
                   " brings back the first one");
}

static bool pings(const struct demo *d, GError **error)
{
    int status;
    g_autofree char *count = g_strdup_printf("%d", PINGS);
    g_autofree char *out = RUN(&status, true, d->self, "exec", "--lab", LAB, NEAR_HOST, "--",
                               "ping", "-c", count, "-i", "0.2", "-W", "2", FAR_HOST);
    g_autofree char *want = g_strdup_printf("%d packets transmitted, %d received", PINGS, PINGS);

    if (status != 0 || !strstr(out, want)) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "not all of %d pings from %s to %s came back",
                       PINGS, NEAR_HOST, FAR_HOST);
    }
    return true;
}

static bool copy_keys(const struct demo *d, GError **error)
{
    g_autofree char *disk = lab_disk_directory(LAB, "left");
    static const char *const tables[] = {"esp_sa", "ikev2_decryption_table"};

    g_mkdir_with_parents(d->keys, 0700);
    for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
        g_autofree char *from = g_build_filename(disk, "var", "keys", tables[i], NULL);
        g_autofree char *to = g_build_filename(d->keys, tables[i], NULL);
        g_autofree char *text = NULL;
        gsize n;

        if (!g_file_get_contents(from, &text, &n, error) ||
            !g_file_set_contents_full(to, text, (gssize)n, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                      error)) {
            g_prefix_error(error, "key table: ");
            return false;
        }
    }
    return true;
}

/* Every frame is ARP, ND, IKE or ESP. */
static bool prove_outside(const struct demo *d, GError **error)
{
    int status;
    g_autofree char *out =
        RUN(&status, false, "tshark", "-r", d->pcap, "-T", "fields", "-e", "frame.protocols");
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    unsigned arp = 0, ike = 0, esp = 0;

    if (status != 0) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "tshark could not read %s", d->pcap);
    }
    for (char **line = lines; *line; line++) {
        if (!**line) {
            continue;
        }
        if (strstr(*line, ":esp")) {
            esp++;
        } else if (strstr(*line, ":isakmp")) {
            ike++;
        } else if (strstr(*line, ":arp") || strstr(*line, ":icmpv6")) {
            arp++;
        } else {
            return fw_fail(error, FW_ERROR_INVALID,
                           "a frame on the middle link is none of ARP, ND, IKE, ESP: %s", *line);
        }
    }
    printf("middle link: %u frames: %u ESP, %u IKE, %u ARP or ND, nothing else\n",
           esp + ike + arp, esp, ike, arp);
    if (esp < 2 * PINGS || ike < 4) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "the middle link should carry at least %d ESP and 4 IKE frames", 2 * PINGS);
    }
    return true;
}

/* With the keys, the pings are inside, and the integrity check values are right. */
static bool prove_inside(const struct demo *d, GError **error)
{
    int status;
    g_autofree char *config = g_strdup_printf("WIRESHARK_CONFIG_DIR=%s", d->keys);
    g_autofree char *out =
        RUN(&status, false, "env", config, "tshark", "-r", d->pcap, "-o",
            "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-Y",
            "esp && icmp", "-T", "fields", "-e", "icmp.type");
    unsigned requests = 0, replies = 0;

    for (const char *p = out; *p; p++) {
        requests += *p == '8';
        replies += *p == '0';
    }
    if (status != 0 || requests < PINGS || replies < PINGS) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "with the exported keys only %u echo requests and %u replies are inside",
                       requests, replies);
    }
    printf("inside, with the exported keys: %u echo requests, %u echo replies\n", requests,
           replies);
    return true;
}

static bool demonstrate(struct demo *d, GError **error)
{
    if (!boot(d, error) || !start_capture(d, error)) {
        return false;
    }
    /* From the first message on the wire: what was negotiated before the capture began goes. */
    g_free(cli(d, "left", "clear security ike security-associations", true));
    if (!wait_tunnel(d, error)) {
        return false;
    }
    printf("\n%s$ ping %s\n", NEAR_HOST, FAR_HOST);
    if (!pings(d, error)) {
        return false;
    }
    static const char *const shows[] = {
        "show chassis fpc pic-status", "show security ike security-associations",
        "show security ipsec security-associations",
        "show security ipsec security-associations detail", "show security ipsec statistics"};

    for (unsigned i = 0; i < G_N_ELEMENTS(shows); i++) {
        g_autofree char *text = cli(d, "left", shows[i], true);

        if (!*text || strstr(text, "error:") == text) {
            return fw_fail(error, FW_ERROR_UNAVAILABLE, "left: %s gave nothing", shows[i]);
        }
        if (i == 3 && (!strstr(text, "Location: FPC") || !strstr(text, "Anchorship: Thread"))) {
            return fw_fail(error, FW_ERROR_INVALID, "left: %s names no anchor", shows[i]);
        }
    }
    stop_capture(d);
    printf("\n");
    if (!copy_keys(d, error) || !prove_outside(d, error) || !prove_inside(d, error)) {
        return false;
    }
    printf("capture %s\nkeys    %s (insecure: for this demo only)\n"
           "look yourself: WIRESHARK_CONFIG_DIR=%s tshark -r %s -o "
           "esp.enable_encryption_decode:TRUE -V\n",
           d->pcap, d->keys, d->keys, d->pcap);
    return true;
}

static void offer_cli(const struct demo *d)
{
    pid_t pid;

    printf("\nThe lab is up. This is the CLI of node left; `exit` leaves it and ends the lab.\n"
           "In another terminal: vchassis ps, vchassis exec alice ping %s, vchassis cli right\n\n",
           FAR_HOST);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        execl(d->self, d->self, "cli", "--lab", LAB, "left", (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

int front_demo(int argc, char **argv)
{
    static const struct option longs[] = {{"output", required_argument, NULL, 'o'},
                                          {"no-cli", no_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct sigaction action = {.sa_handler = on_signal};
    g_autoptr(GError) error = NULL;
    struct demo d = {0};
    const char *output = "vchassis-demo";
    bool offer = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    bool happened;
    int option;

    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        switch (option) {
        case 'o':
            output = optarg;
            break;
        case 'n':
            offer = false;
            break;
        case 'h':
            usage(stdout);
            return FRONT_OK;
        default:
            usage(stderr);
            return FRONT_USAGE;
        }
    }
    if (optind < argc) {
        usage(stderr);
        return FRONT_USAGE;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    d.self = g_file_read_link("/proc/self/exe", NULL);
    d.lab_file = front_lab_path(LAB);
    d.output = g_canonicalize_filename(output, NULL);
    d.pcap = g_build_filename(d.output, "middle.pcapng", NULL);
    d.keys = g_build_filename(d.output, "keys", NULL);
    if (g_mkdir_with_parents(d.output, 0755) != 0) {
        fprintf(stderr, "vchassis demo: %s: %s\n", d.output, g_strerror(errno));
        return 1;
    }
    happened = demonstrate(&d, &error);
    stop_capture(&d);
    if (happened && offer && !interrupted) {
        offer_cli(&d);
    }
    if (d.up) {
        int status;

        printf("\ntaking the lab down\n");
        g_free(RUN(&status, true, d.self, "down", "--lab", LAB));
        if (status != 0 && happened) {
            happened = fw_fail(&error, FW_ERROR_SYSTEM, "the lab did not end in order");
        }
    }
    if (!happened) {
        fprintf(stderr, "vchassis demo: %s\n", interrupted ? "interrupted" : error->message);
    } else {
        printf("demo passed\n");
    }
    g_free(d.self);
    g_free(d.lab_file);
    g_free(d.output);
    g_free(d.pcap);
    g_free(d.keys);
    return happened ? 0 : 1;
}
