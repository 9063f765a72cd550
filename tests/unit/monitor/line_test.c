/* The monitor's lines: limits before the parser, arguments by the schema's tables. */
#include <criterion/criterion.h>
#include <string.h>

#include "hw/monitor/line.h"
#include "messages.h"

static bool parse(const char *line, struct monitor_request *ret)
{
    memset(ret, 0, sizeof *ret);
    return monitor_line_parse(line, strlen(line), ret, NULL);
}

Test(line, a_request)
{
    struct monitor_request r;

    cr_assert(parse("{\"execute\":\"board-kill\",\"arguments\":{\"slot\":3},\"id\":[1]}", &r));
    cr_assert_str_eq(r.name, "board-kill");
    cr_assert_not_null(r.arguments);
    cr_assert_not_null(r.id);
    monitor_request_clear(&r);
    cr_assert(parse("{\"execute\":\"quit\"}", &r));
    cr_assert_null(r.arguments);
    monitor_request_clear(&r);
}

Test(line, what_is_no_request)
{
    static const char *const lines[] = {
        "", "{", "[]", "3", "{}", "{\"execute\":3}", "{\"execute\":[\"a\"]}", "{\"execute\":null}",
        "{\"execute\":\"a\",\"arguments\":[]}", "{\"execute\":\"a\",\"arguments\":null}",
        "\xff\xfe", "{\"execute\":\"a\"", "/* { */ {\"execute\":\"a\"}",
    };
    struct monitor_request r;

    for (size_t n = 0; n < sizeof lines / sizeof lines[0]; n++) {
        cr_assert_not(parse(lines[n], &r), "line %u was accepted", (unsigned)n);
    }
    cr_assert_not(monitor_line_parse("{\"execute\":\"a\"}\0", 16, &r, NULL));
}

Test(line, depth_and_length_are_limited)
{
    struct monitor_request r;
    g_autofree char *deep = g_strnfill(50000, '[');
    g_autofree char *pad = g_strnfill(MONITOR_LINE_MAX, 'a');
    g_autofree char *longer = g_strdup_printf("{\"execute\":\"%s\"}", pad);

    cr_assert_not(parse(deep, &r));
    cr_assert_not(parse(longer, &r));
    /* Brackets within strings are text. */
    cr_assert(parse("{\"execute\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"}", &r));
    monitor_request_clear(&r);
}

static bool arguments(const struct bus_struct *in, const char *text, void *ret)
{
    g_autofree char *line = g_strdup_printf("{\"execute\":\"x\",\"arguments\":%s}", text);
    struct monitor_request r;
    bool ok;

    cr_assert(parse(line, &r));
    ok = monitor_arguments_read(in, r.arguments, ret, NULL);
    monitor_request_clear(&r);
    return ok;
}

Test(arguments, are_read_by_the_table)
{
    struct bus_command_plane_set_in in = {0};
    struct bus_command_capture_start_in capture = {0};
    const struct bus_struct *plane = &bus_struct_command_plane_set_in;

    cr_assert(arguments(plane, "{\"plane\":3,\"up\":true}", &in));
    cr_assert_eq(in.plane, 3);
    cr_assert(in.up);
    cr_assert_not(arguments(plane, "{\"plane\":3}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":3,\"up\":1}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":70000,\"up\":true}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":-1,\"up\":true}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":1.5,\"up\":true}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":\"3\",\"up\":true}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":[3],\"up\":true}", &in));
    cr_assert_not(arguments(plane, "{\"plane\":3,\"up\":true,\"more\":1}", &in));
    cr_assert(arguments(&bus_struct_command_capture_start_in, "{\"port\":\"xe-1/0/0\"}", &capture));
    cr_assert_str_eq(capture.port, "xe-1/0/0");
    cr_assert_not(arguments(&bus_struct_command_capture_start_in,
                            "{\"port\":\"a-name-longer-than-24-bytes-is\"}", &capture));
}

Test(arguments, none_are_needed_where_none_are_defined)
{
    struct bus_command_quit_in in = {0};

    cr_assert(monitor_arguments_read(&bus_struct_command_quit_in, NULL, &in, NULL));
}
