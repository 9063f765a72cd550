/*
 * detour - captures and impairments of the fabric: cells go through the gateway.
 *
 * The gateway is a board of its own, without a slot, at the last endpoint. It
 * is started by the first wish; when it is in service every pair of boards with
 * shared memory is attached again with the flag via-gateway (attach.c), and the
 * gateway gets its rules and captures. When it dies the pairs go direct again;
 * it is restarted like any board, and its rules come back, its captures do not.
 */
#include <fcntl.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/supervise/internal.h"

#define RULES_MAX 64 /* more is a mistake of whoever gives them */

static struct hw_supervised *gateway_of(struct hw_node *node)
{
    return &node->boards[hw_chassis_endpoints(node->chassis) - 1];
}

struct hw_supervised *hw_detour_gateway(struct hw_node *node)
{
    struct hw_supervised *s = gateway_of(node);

    return node->detour && s->board && s->member.incarnation &&
                   hw_unit_state(HW_UNIT(s->board)) == BUS_FRU_STATE_ONLINE
               ? s
               : NULL;
}

static struct hw_supervised *gateway_start(struct hw_node *node, GError **error)
{
    struct hw_supervised *s = gateway_of(node);

    if (node->ending) {
        fw_fail(error, FW_ERROR_UNAVAILABLE, "the chassis is powering off");
        return NULL;
    }
    if (!s->board) {
        uint8_t index = (uint8_t)(hw_chassis_endpoints(node->chassis) - 1);

        hw_supervised_init(s, node, hw_board_new_gateway(index));
    }
    node->detour = true;
    if (!s->guest && !fw_timer_armed(s->restart)) {
        hw_supervised_start(s);
    }
    if (!s->guest && !fw_timer_armed(s->restart)) {
        fw_fail(error, FW_ERROR_UNAVAILABLE, "the fabric gateway does not start: %s",
                hw_unit_reason_text(HW_UNIT(s->board)));
        return NULL;
    }
    return s;
}

static bool capture_send(struct hw_supervised *s, struct hw_node_capture *capture, int fd)
{
    struct bus_capture_start start = {.id = capture->id};

    g_strlcpy(start.name, "fabric", sizeof start.name);
    return hw_supervised_send(s, BUS_CAPTURE_START, &start, &fd, 1);
}

bool hw_detour_capture_start(struct hw_node *node, int fd, uint32_t *ret_id, GError **error)
{
    struct hw_supervised *s = gateway_start(node, error);
    struct hw_node_capture *capture = s ? hw_node_capture_new(node, s, error) : NULL;

    if (!capture) {
        return false;
    }
    *ret_id = capture->id;
    if (!s->ready) {
        capture->waiting = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    } else if (!capture_send(s, capture, fd)) {
        capture->id = 0;
        return fw_fail(error, FW_ERROR_BUSY, "the fabric gateway does not keep up; try again");
    }
    return true;
}

/* The rule for the same pair is replaced; an empty one goes. */
static bool rule_keep(struct hw_node *node, const struct bus_fabric_impair *rule, GError **error)
{
    for (guint n = 0; n < node->rules->len; n++) {
        struct bus_fabric_impair *old = &g_array_index(node->rules, struct bus_fabric_impair, n);

        if (old->source == rule->source && old->destination == rule->destination) {
            g_array_remove_index(node->rules, n);
            break;
        }
    }
    if (node->rules->len >= RULES_MAX) {
        return fw_fail(error, FW_ERROR_BUSY, "%u fabric rules are in force already; remove one",
                       RULES_MAX);
    }
    if (rule->drop_permille || rule->delay_us) {
        g_array_append_vals(node->rules, rule, 1);
    }
    return true;
}

bool hw_detour_impair(struct hw_node *node, const struct bus_fabric_impair *rule, GError **error)
{
    struct hw_supervised *s = gateway_start(node, error);

    if (!s || !rule_keep(node, rule, error)) {
        return false;
    }
    if (s->ready) {
        hw_supervised_send(s, BUS_FABRIC_IMPAIR, rule, NULL, 0);
    }
    return true;
}

void hw_detour_online(struct hw_supervised *s)
{
    struct hw_node *node = s->node;

    if (hw_board_kind(s->board) != BUS_BOARD_KIND_GATEWAY) {
        return;
    }
    for (guint n = 0; n < node->rules->len; n++) {
        hw_supervised_send(s, BUS_FABRIC_IMPAIR,
                           &g_array_index(node->rules, struct bus_fabric_impair, n), NULL, 0);
    }
    for (unsigned n = 0; n < NODE_CAPTURES_MAX; n++) {
        struct hw_node_capture *capture = &node->captures[n];

        if (capture->id && capture->board == s && capture->waiting >= 0) {
            capture_send(s, capture, capture->waiting);
            close(capture->waiting);
            capture->waiting = -1;
        }
    }
    hw_fabric_reroute(node);
}
