/*
 * port - see port.h.
 *
 * A frame is sent at once when nothing is queued; otherwise it waits for the
 * socket to drain. At most READ_BURST frames are read in one turn of the main
 * loop, so one busy peer cannot starve the others. The death of the peer is
 * always told from the main loop, never from inside a send.
 *
 * Limits: QUEUE_HARD frames in a queue whatever they are.
 * Threads: main loop.
 */
#include "firmware/bus/port.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/secret.h"

#define READ_BURST    64
#define QUEUE_BOUND   1024
#define QUEUE_HARD    131072 /* retained objects of a large configuration, with room */

struct bus_port {
    GSource *source;
    gpointer tag;
    int fd;
    struct bus_port_handler handler;
    void *data;
    GQueue out;          /* struct bus_frame * */
    GHashTable *objects; /* GBytes key of a queued retained event -> its GList link */
    unsigned bound;
    unsigned holds;      /* dispatches under way, plus one until freed */
    bool dead;           /* the peer is gone */
    bool told;
    bool freed;
    uint8_t *buffer;
};

struct port_source {
    GSource source;
    struct bus_port *port;
};

struct bus_frame *bus_frame_new(const uint8_t *data, size_t len, enum bus_kind kind, GBytes *key,
                                const int *fds, unsigned n_fds)
{
    struct bus_frame *frame = g_malloc0(sizeof *frame + len);

    frame->refs = 1;
    frame->kind = kind;
    frame->key = key;
    frame->len = len;
    memcpy(frame->data, data, len);
    if (n_fds) {
        frame->fds = g_new(int, n_fds);
        for (unsigned i = 0; i < n_fds; i++) {
            int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
            if (fd < 0) {
                bus_frame_unref(frame);
                return NULL;
            }
            frame->fds[frame->n_fds++] = fd;
        }
    }
    return frame;
}

void bus_frame_unref(struct bus_frame *frame)
{
    if (!frame || --frame->refs > 0) {
        return;
    }
    for (unsigned i = 0; i < frame->n_fds; i++) {
        close(frame->fds[i]);
    }
    g_free(frame->fds);
    g_clear_pointer(&frame->key, g_bytes_unref);
    fw_wipe(frame->data, frame->len);
    g_free(frame);
}

GBytes *bus_object_key(const struct bus_type *type, uint16_t destination, const void *msg)
{
    uint8_t buffer[1024];
    struct fw_emit e = fw_emit(buffer, sizeof buffer);

    fw_emit_u16(&e, destination);
    fw_emit_u16(&e, type->number);
    for (unsigned i = 0; i < type->n_keys; i++) {
        const struct bus_struct one = {type->name, type->body->size,
                                       &type->body->fields[type->keys[i]], 1};
        bus_encode(&one, msg, &e);
    }
    return e.failed ? NULL : g_bytes_new(buffer, fw_emit_len(&e));
}

static void port_release(struct bus_port *port)
{
    if (--port->holds > 0) {
        return;
    }
    g_free(port->buffer);
    g_free(port);
}

/* 1 sent, 0 would block, -1 the peer is gone, -2 this frame cannot be sent. */
static int frame_write(struct bus_port *port, const struct bus_frame *frame)
{
    union {
        char bytes[CMSG_SPACE(BUS_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {(void *)frame->data, frame->len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (frame->n_fds) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(frame->n_fds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&m);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(frame->n_fds * sizeof(int));
        memcpy(CMSG_DATA(cm), frame->fds, frame->n_fds * sizeof(int));
    }
    for (;;) {
        if (sendmsg(port->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return 1;
        }
        switch (errno) {
        case EINTR:
            continue;
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
        case ETOOMANYREFS:
            return 0;
        case EMSGSIZE:
        case EINVAL:
            return -2;
        default:
            return -1;
        }
    }
}

static void port_watch(struct bus_port *port)
{
    GIOCondition want = G_IO_IN;

    if (!g_queue_is_empty(&port->out)) {
        want |= G_IO_OUT;
    }
    g_source_modify_unix_fd(port->source, port->tag, want);
}

static void port_die(struct bus_port *port)
{
    port->dead = true;
    g_source_set_ready_time(port->source, 0);
}

static struct bus_frame *queue_pop(struct bus_port *port)
{
    struct bus_frame *frame = g_queue_peek_head(&port->out);

    if (frame->key) {
        g_hash_table_remove(port->objects, frame->key);
    }
    return g_queue_pop_head(&port->out);
}

static void port_flush(struct bus_port *port)
{
    while (!g_queue_is_empty(&port->out)) {
        int sent = frame_write(port, g_queue_peek_head(&port->out));

        if (sent == 0) {
            break;
        }
        if (sent == -1) {
            port_die(port);
            break;
        }
        bus_frame_unref(queue_pop(port));
    }
    port_watch(port);
}

/* One frame; false when nothing is left to read now. */
static bool port_read(struct bus_port *port)
{
    union {
        char bytes[CMSG_SPACE(BUS_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {port->buffer, BUS_FRAME_MAX};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    int fds[BUS_FDS_MAX];
    unsigned n_fds = 0;
    ssize_t n;

    do {
        n = recvmsg(port->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    if (n <= 0) {
        port_die(port);
        return false;
    }
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(&m); cm; cm = CMSG_NXTHDR(&m, cm)) {
        if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS) {
            unsigned count = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));

            for (unsigned i = 0; i < count && n_fds < BUS_FDS_MAX; i++) {
                memcpy(&fds[n_fds++], CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
            }
        }
    }
    if (!(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        port->handler.frame(port, port->buffer, (size_t)n, fds, n_fds, port->data);
    }
    for (unsigned i = 0; i < n_fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    fw_wipe(port->buffer, (size_t)n);
    return true;
}

static gboolean port_dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
    struct bus_port *port = ((struct port_source *)source)->port;
    GIOCondition got = g_source_query_unix_fd(source, port->tag);

    (void)unused;
    (void)unused_data;
    port->holds++;
    g_source_set_ready_time(source, -1);
    if (got & G_IO_OUT && !port->dead) {
        port_flush(port);
    }
    if (got & (G_IO_IN | G_IO_HUP | G_IO_ERR)) {
        /* What the peer sent before it died is still delivered. */
        for (unsigned i = 0; i < READ_BURST && !port->freed && port_read(port); i++) {
        }
    }
    if (!port->freed && port->dead && !port->told) {
        /* A send noticed the death first: read what is left. */
        while (!port->freed && port_read(port)) {
        }
        if (!port->freed) {
            port->told = true;
            g_source_modify_unix_fd(source, port->tag, 0);
            g_source_destroy(source);
            port->handler.gone(port, port->data);
        }
    }
    port_release(port);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs port_funcs = {NULL, NULL, port_dispatch, NULL, NULL, NULL};

struct bus_port *bus_port_new(int fd, const struct bus_port_handler *handler, void *data)
{
    struct bus_port *port = g_new0(struct bus_port, 1);
    int size = 1 << 20;

    g_return_val_if_fail(fd >= 0, NULL);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size); /* the kernel caps it */
    port->fd = fd;
    port->handler = *handler;
    port->data = data;
    port->bound = QUEUE_BOUND;
    port->holds = 1;
    port->buffer = g_malloc(BUS_FRAME_MAX);
    port->objects = g_hash_table_new(g_bytes_hash, g_bytes_equal);
    g_queue_init(&port->out);
    port->source = g_source_new(&port_funcs, sizeof(struct port_source));
    ((struct port_source *)port->source)->port = port;
    port->tag = g_source_add_unix_fd(port->source, fd, G_IO_IN);
    g_source_attach(port->source, NULL);
    return port;
}

void bus_port_free(struct bus_port *port)
{
    if (!port || port->freed) {
        return;
    }
    if (!port->dead) {
        port_flush(port);
    }
    port->freed = true;
    g_source_destroy(port->source);
    g_source_unref(port->source);
    while (!g_queue_is_empty(&port->out)) {
        bus_frame_unref(queue_pop(port));
    }
    g_hash_table_unref(port->objects);
    close(port->fd);
    port->fd = -1;
    port_release(port);
}

int bus_port_fd(const struct bus_port *port)
{
    return port->fd;
}

void bus_port_set_bound(struct bus_port *port, unsigned frames)
{
    port->bound = frames;
}

unsigned bus_port_queued(const struct bus_port *port)
{
    return g_queue_get_length((GQueue *)&port->out);
}

enum bus_sent bus_port_send(struct bus_port *port, struct bus_frame *frame)
{
    unsigned queued = bus_port_queued(port);

    if (port->dead || port->freed) {
        return BUS_SENT_GONE;
    }
    if (queued == 0) {
        switch (frame_write(port, frame)) {
        case 1:
            return BUS_SENT;
        case -1:
            port_die(port);
            return BUS_SENT_GONE;
        case -2:
            return BUS_SENT_FULL;
        }
    }
    if (frame->key) {
        GList *link = g_hash_table_lookup(port->objects, frame->key);

        if (link) {
            g_hash_table_remove(port->objects, frame->key);
            bus_frame_unref(link->data);
            link->data = frame;
            frame->refs++;
            g_hash_table_insert(port->objects, frame->key, link);
            return BUS_SENT;
        }
    }
    if (queued >= QUEUE_HARD ||
        (queued >= port->bound && !frame->key && frame->kind != BUS_REPLY)) {
        return BUS_SENT_FULL;
    }
    g_queue_push_tail(&port->out, frame);
    frame->refs++;
    if (frame->key) {
        g_hash_table_insert(port->objects, frame->key, g_queue_peek_tail_link(&port->out));
    }
    port_watch(port);
    return BUS_SENT;
}
