/*
 * capture_test - pcapng blocks as we read them, and as tshark does.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/cursor.h"
#include "tests/unit/ioc/frames.h"

static uint8_t file[1 << 22];
static size_t file_bytes;

static void drain(int fd)
{
    ssize_t n;

    while ((n = read(fd, file + file_bytes, sizeof(file) - file_bytes)) > 0) {
        file_bytes += (size_t)n;
    }
}

/* Walks the blocks; counts packets and checks the frames against `marks`. */
static unsigned parse(void)
{
    struct fw_cursor c = fw_cursor(file, file_bytes);
    unsigned packets = 0;

    while (fw_cursor_left(&c) > 0) {
        struct fw_cursor whole = c;
        uint32_t type = fw_cursor_u32(&c), total = fw_cursor_u32(&c);
        struct fw_cursor block = fw_cursor_sub(&whole, total);

        cr_assert_not(block.failed);
        cr_assert_eq(total % 4, 0);
        fw_cursor_take(&block, total - 4);
        cr_assert_eq(fw_cursor_u32(&block), total);
        if (type == 6) {
            uint64_t ns;
            uint32_t bytes;
            const uint8_t *frame;

            cr_assert_eq(fw_cursor_u32(&c), 0);
            ns = fw_cursor_u64(&c);
            cr_assert_gt(ns, 1700000000ull * 1000000000ull);
            bytes = fw_cursor_u32(&c);
            cr_assert_eq(fw_cursor_u32(&c), bytes);
            frame = fw_cursor_take(&c, bytes);
            cr_assert_not_null(frame);
            for (uint32_t i = 1; i < bytes; i++) {
                cr_assert_eq(frame[i], frame[0]);
            }
            fw_cursor_take(&c, (4 - bytes % 4) % 4);
            cr_assert_eq(fw_cursor_u16(&c), 2);
            cr_assert_eq(fw_cursor_u16(&c), 4);
            cr_assert_eq(fw_cursor_u32(&c), frame[0] % 2 ? 1 : 2);
            packets++;
        }
        c = whole;
    }
    cr_assert_not(c.failed);
    return packets;
}

Test(capture, blocks_are_whole_whatever_the_reader_does)
{
    static uint8_t frame[20000];
    struct ioc_capture *capture;
    unsigned written = 0, dropped = 0;
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    capture = ioc_capture_new(1, fds[1], "xe-1/0/0", NULL);
    cr_assert_not_null(capture);
    for (unsigned i = 0; i < 300; i++) {
        uint32_t bytes = 1 + i * 7919 % (sizeof(frame) - 1), first = bytes / 3;

        memset(frame, (int)(i & 0xff), bytes);
        if (ioc_capture_frame(capture, i % 2 == 0, frame, first, frame + first, bytes - first)) {
            written++;
        } else {
            dropped++;
        }
        if (i == 250) {
            drain(fds[0]);
        }
    }
    do {
        drain(fds[0]);
    } while (ioc_capture_flush(capture));
    drain(fds[0]);
    cr_assert_gt(dropped, 0);
    cr_assert_eq(parse(), written);
    ioc_capture_free(capture);
    close(fds[0]);
}

Test(capture, a_reader_that_left_costs_drops_only)
{
    struct ioc_capture *capture;
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(fds), 0);
    capture = ioc_capture_new(1, fds[1], "xe-1/0/0", NULL);
    close(fds[0]);
    cr_assert_not(ioc_capture_frame(capture, true, (const uint8_t *)"12345678901234", 14, NULL, 0));
    cr_assert_not(ioc_capture_frame(capture, true, (const uint8_t *)"12345678901234", 14, NULL, 0));
    cr_assert_not(ioc_capture_flush(capture));
    ioc_capture_free(capture);
}

Test(capture, tshark_reads_it)
{
    g_autofree char *tshark = g_find_program_in_path("tshark"), *path = NULL, *out = NULL;
    struct ioc_capture *capture;
    struct frame f;
    int fd, status;

    if (!tshark) {
        cr_skip_test("tshark is not installed");
    }
    fd = g_file_open_tmp("capture-XXXXXX.pcapng", &path, NULL);
    cr_assert_geq(fd, 0);
    capture = ioc_capture_new(1, fd, "xe-1/0/0", NULL);
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "ping", 4);
    cr_assert(ioc_capture_frame(capture, false, f.data, f.bytes, NULL, 0));
    frame_udp4(&f, "203.0.113.5", "198.51.100.7", 2000, 1000, "pong", 4);
    cr_assert(ioc_capture_frame(capture, true, f.data, f.bytes, NULL, 0));
    ioc_capture_free(capture);

    char *argv[] = {tshark,         "-r", path,     "-T", "fields",
                    "-e",           "frame.interface_name", "-e", "frame.packet_flags_direction",
                    "-e",           "udp.srcport",          "-e", "data",
                    "-E",           "separator=,",          NULL};

    cr_assert(g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL,
                           &status, NULL));
    unlink(path);
    cr_assert_eq(status, 0);
    cr_assert_not_null(strstr(out, "xe-1/0/0,"));
    cr_assert_not_null(strstr(out, ",1000,70696e67\n"), "%s", out);
    cr_assert_not_null(strstr(out, ",2000,706f6e67\n"), "%s", out);
    cr_assert_not_null(strstr(out, "1,1000"), "%s", out);
    cr_assert_not_null(strstr(out, "2,2000"), "%s", out);
}
