/*
 * capture - write a port's packets to a pcapng file until told to stop.
 *
 * The I/O card writes pcapng into a pipe whose other end is read here, so that
 * the file belongs to the user. Blocks are counted as they pass (--count); the
 * end comes by Ctrl-C, --count or --seconds: the capture is stopped at the
 * node, and what is still in the pipe is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/cursor.h"
#include "hw/front/front.h"

#define PCAPNG_SECTION 0x0a0d0d0au /* section header block, in either byte order */
#define PCAPNG_MAGIC   0x1a2b3c4du /* its third word tells the byte order of the section */
#define PCAPNG_PACKET  6u          /* enhanced packet block */
#define BLOCK_HEAD     12u         /* type, total length, first word of the body */
#define DRAIN_NS       (2 * FW_SEC)

static const char usage_text[] =
    "usage: vchassis capture [--lab LAB] [--count N] [--seconds S] NODE PORT FILE\n"
    "Writes the packets of a node's port (xe-1/0/0) to FILE as pcapng ('-': standard output),\n"
    "until Ctrl-C, N packets, or S seconds.\n"
    "Exit status: 0 captured, 1 it could not start or the node ended, 2 usage.\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

struct capture {
    int pipe;
    int file;
    uint64_t packets, wanted;
    bool little_endian;  /* of the current section */
    uint8_t head[BLOCK_HEAD];
    unsigned head_len;
    uint32_t block_left; /* bytes of the current block still to come */
};

static uint32_t word_of(const struct capture *c, unsigned at)
{
    struct fw_cursor cursor = fw_cursor(c->head + at, 4);
    uint32_t word = fw_cursor_u32(&cursor);

    return c->little_endian ? GUINT32_SWAP_LE_BE(word) : word;
}

static void block_begin(struct capture *c)
{
    uint32_t total;

    if (word_of(c, 0) == PCAPNG_SECTION && word_of(c, 8) != PCAPNG_MAGIC) {
        c->little_endian = !c->little_endian;
    }
    total = word_of(c, 4);
    c->packets += word_of(c, 0) == PCAPNG_PACKET;
    c->block_left = total > BLOCK_HEAD ? total - BLOCK_HEAD : 0;
    c->head_len = 0;
}

/* Follows the block structure of what passes. */
static void blocks_count(struct capture *c, const uint8_t *data, size_t len)
{
    while (len) {
        size_t take;

        if (c->block_left) {
            take = MIN(len, c->block_left);
            c->block_left -= (uint32_t)take;
        } else {
            take = MIN(len, BLOCK_HEAD - c->head_len);
            memcpy(c->head + c->head_len, data, take);
            c->head_len += (unsigned)take;
            if (c->head_len == BLOCK_HEAD) {
                block_begin(c);
            }
        }
        data += take;
        len -= take;
    }
}

/* 1 something came, 0 the other side closed, -1 the file cannot be written. */
static int transfer(struct capture *c)
{
    uint8_t buffer[65536];
    ssize_t n = read(c->pipe, buffer, sizeof(buffer)), done = 0;

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    blocks_count(c, buffer, (size_t)n);
    while (done < n) {
        ssize_t put = write(c->file, buffer + done, (size_t)(n - done));

        if (put < 0 && errno != EINTR) {
            return -1;
        }
        done += put > 0 ? put : 0;
    }
    return n > 0;
}

static int run(struct front_client *client, struct capture *c, const char *node, int64_t id,
               int64_t deadline_ns)
{
    g_autofree char *args = g_strdup_printf("{\"id\":%" G_GINT64_FORMAT "}", id);
    bool stopping = false;
    int state = 1;

    while (state > 0) {
        struct pollfd wait[2] = {{.fd = c->pipe, .events = POLLIN},
                                 {.fd = front_client_fd(client), .events = POLLIN}};
        bool enough = interrupted || (c->wanted && c->packets >= c->wanted) ||
                      fw_clock_ns() >= deadline_ns;

        if (stopping && fw_clock_ns() >= deadline_ns) {
            break;
        }
        if (enough && !stopping) {
            g_autoptr(JsonNode) done =
                front_node_call(client, node, "capture-stop", args, NULL, 0, NULL);

            stopping = true;
            deadline_ns = fw_clock_ns() + (done ? DRAIN_NS : 0);
        }
        if (poll(wait, 2, 100) > 0) {
            if (wait[1].revents && !front_client_read(client, 0)) {
                break;
            }
            state = wait[0].revents ? transfer(c) : state;
        }
    }
    if (state < 0) {
        return front_fail("capture", "the file cannot be written: %s", g_strerror(errno));
    }
    fprintf(stderr, "%" G_GUINT64_FORMAT " packet%s\n", c->packets, c->packets == 1 ? "" : "s");
    return stopping ? FRONT_OK : front_fail("capture", "the port's board has ended");
}

static int capture(struct front_client *client, struct capture *c, const char *node,
                   const char *port, int64_t deadline_ns)
{
    g_autofree char *name = front_json_quote(port);
    g_autofree char *args = g_strdup_printf("{\"port\":%s}", name);
    struct sigaction action = {.sa_handler = on_signal};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) answer = NULL;
    int ends[2];
    int64_t id = 0;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return front_fail("capture", "%s", g_strerror(errno));
    }
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    answer = front_node_call(client, node, "capture-start", args, &ends[1], 1, &error);
    close(ends[1]);
    if (!answer) {
        return front_fail("capture", "%s", error->message);
    }
    if (JSON_NODE_HOLDS_OBJECT(answer)) {
        id = front_json_number(json_node_get_object(answer), "id");
    }
    c->pipe = ends[0];
    return run(client, c, node, id, deadline_ns);
}

int front_capture(int argc, char **argv)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct capture c = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    struct front_client *client;
    const char *wanted = NULL;
    int64_t deadline_ns = INT64_MAX;
    double seconds;
    char *end;
    int option, status;

    while ((option = getopt_long(argc, argv, "c:s:h", longs, NULL)) != -1) {
        switch (option) {
        case 'l':
            wanted = optarg;
            break;
        case 'c':
            if (!front_number("capture", "--count", optarg, 1, &c.wanted)) {
                return FRONT_USAGE;
            }
            break;
        case 's':
            seconds = g_ascii_strtod(optarg, &end);
            if (end == optarg || *end || !(seconds > 0 && seconds < 1e9)) {
                front_fail("capture", "--seconds %s: give a number of seconds", optarg);
                return FRONT_USAGE;
            }
            deadline_ns = fw_clock_ns() + (int64_t)(seconds * FW_SEC);
            break;
        case 'h':
            return front_usage(usage_text, true);
        default:
            return front_usage(usage_text, false);
        }
    }
    if (argc - optind != 3) {
        return front_usage(usage_text, false);
    }
    lab = front_select_lab(wanted, &error);
    client = lab ? front_client_lab(lab, &error) : NULL;
    if (!client) {
        return front_fail("capture", "%s", error->message);
    }
    c.file = strcmp(argv[optind + 2], "-") == 0
                 ? STDOUT_FILENO
                 : open(argv[optind + 2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (c.file < 0) {
        status = front_fail("capture", "%s: %s", argv[optind + 2], g_strerror(errno));
    } else {
        status = capture(client, &c, argv[optind], argv[optind + 1], deadline_ns);
    }
    front_client_free(client);
    return status;
}
