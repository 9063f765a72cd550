/*
 * verbs - main of vchassis: the table of verbs.
 */
#include <stdio.h>
#include <string.h>

#include "hw/front/front.h"

const struct front_verb front_verbs[] = {
    {"demo", "[--output DIR]", "boot two chassis and prove a tunnel between them", front_demo},
    {"up", "LAB [--detach]", "start a lab", front_up},
    {"down", "[LAB]", "end a lab; disks stay", front_down},
    {"wipe", "LAB", "remove the disks of a lab that does not run", front_wipe},
    {"ps", "[--json]", "nodes, boards, daemons and hosts of the running labs", front_ps},
    {"cli", "NODE ['COMMAND']", "the command line of a node", front_cli},
    {"exec", "HOST COMMAND...", "run a command in a lab host", front_exec},
    {"log", "NODE", "the log of a node", front_log},
    {"capture", "NODE PORT FILE", "write a port's packets to a pcapng file", front_capture},
    {"link", "NAME up|down", "plug or unplug a link", front_link},
    {"ctl", "NODE [COMMAND]", "the JSON monitor of a node", front_ctl},
    {"test", "PATH...", "run scenarios", front_test},
    {NULL, NULL, NULL, NULL},
};

int front_fail(const char *verb, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fprintf(stderr, "vchassis %s: %s\n", verb, text);
    return FRONT_FAILED;
}

bool front_number(const char *verb, const char *option, const char *text, uint64_t from,
                  uint64_t *ret)
{
    if (!g_ascii_string_to_unsigned(text, 10, from, G_MAXINT32, ret, NULL)) {
        front_fail(verb, "%s %s: give a whole number from %" G_GUINT64_FORMAT " on", option, text,
                   from);
        return false;
    }
    return true;
}

int front_usage(const char *text, bool asked)
{
    fputs(text, asked ? stdout : stderr);
    return asked ? FRONT_OK : FRONT_USAGE;
}

static void help(FILE *out)
{
    fputs("usage: vchassis VERB [ARGUMENT...]\n"
          "Full-system emulator of a services-gateway chassis.\n\n", out);
    for (const struct front_verb *v = front_verbs; v->name; v++) {
        g_autofree char *left = g_strdup_printf("%s %s", v->name, v->arguments);

        fprintf(out, "  %-26s %s\n", left, v->summary);
    }
    fputs("\nvchassis VERB --help tells more; vchassis --version tells the version.\n", out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return FRONT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return FRONT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("vchassis %s\n", VCHASSIS_VERSION);
        return FRONT_OK;
    }
    for (const struct front_verb *v = front_verbs; v->name; v++) {
        if (strcmp(v->name, argv[1]) == 0) {
            return v->run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "vchassis: unknown verb '%s'; vchassis --help lists them\n", argv[1]);
    return FRONT_USAGE;
}
