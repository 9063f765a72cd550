/*
 * report - telling others: the RE by hw-slot-state, people by events and queries.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "hw/supervise/internal.h"

struct hw_supervised *hw_node_board(struct hw_node *node, uint8_t slot)
{
    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        struct hw_supervised *s = &node->boards[n];

        if (s->board && hw_supervised_slot(s) == slot) {
            return s;
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- to the RE */

static void state_fill(struct hw_node *node, HwUnit *unit, struct bus_hw_slot_state *ret)
{
    const struct catalog_card *card = hw_unit_card(unit);
    struct hw_supervised *s = HW_IS_BOARD(unit) ? hw_node_board(node, hw_unit_slot(unit)) : NULL;

    ret->kind = (uint8_t)(HW_IS_BOARD(unit) ? hw_board_kind(HW_BOARD(unit))
                                            : BUS_BOARD_KIND_NONE);
    g_strlcpy(ret->card, card->name, sizeof ret->card);
    g_strlcpy(ret->description, card->description, sizeof ret->description);
    g_strlcpy(ret->part_number, card->part_number, sizeof ret->part_number);
    g_strlcpy(ret->serial_number, hw_unit_serial(unit), sizeof ret->serial_number);
    g_strlcpy(ret->model_number, card->inventory_model, sizeof ret->model_number);
    ret->state = (uint8_t)hw_unit_state(unit);
    ret->reason = hw_unit_reason(unit);
    g_strlcpy(ret->reason_text, hw_unit_reason_text(unit), sizeof ret->reason_text);
    ret->spus = (uint8_t)card->spus;
    ret->threads = (uint8_t)card->threads;
    ret->generation = hw_unit_generation(unit);
    ret->since_ns = hw_unit_since_ns(unit);
    ret->temperature = (uint16_t)hw_unit_temperature(unit);
    for (unsigned n = 0; n < card->n_pics && n < G_N_ELEMENTS(ret->pics); n++, ret->n_pics++) {
        g_strlcpy(ret->pics[n].type, card->pics[n].type, sizeof ret->pics[n].type);
        ret->pics[n].online = ret->state == BUS_FRU_STATE_ONLINE;
    }
    if (s) {
        ret->lanes = hw_board_lanes(s->board);
        ret->index = hw_board_index(s->board);
        ret->pid = hw_board_pid(s->board);
        ret->cpu = (uint16_t)s->cpu_percent;
        ret->memory_kib = s->memory_kib;
    }
}

void hw_node_publish(struct hw_node *node, HwUnit *unit)
{
    g_autofree struct bus_hw_slot_state *state = g_new0(struct bus_hw_slot_state, 1);

    state->slot = hw_unit_slot(unit);
    state_fill(node, unit, state);
    bus_send(node->bus, BUS_SUBSCRIBERS, BUS_HW_SLOT_STATE, state);
}

static void publish_empty(struct hw_node *node, uint8_t slot)
{
    g_autofree struct bus_hw_slot_state *state = g_new0(struct bus_hw_slot_state, 1);

    state->slot = slot;
    state->kind = BUS_BOARD_KIND_NONE;
    state->state = BUS_FRU_STATE_EMPTY;
    state->reason = HW_REASON_NONE;
    state->since_ns = fw_clock_wall_ns();
    bus_send(node->bus, BUS_SUBSCRIBERS, BUS_HW_SLOT_STATE, state);
}

void hw_node_publish_all(struct hw_node *node)
{
    for (unsigned n = 0; n < hw_chassis_n_slots(node->chassis); n++) {
        HwSlot *slot = hw_chassis_slot(node->chassis, n);

        if (hw_slot_unit(slot)) {
            hw_node_publish(node, hw_slot_unit(slot));
        } else {
            publish_empty(node, hw_slot_number(slot));
        }
    }
}

/* ---------------------------------------------------------------- to people */

JsonObject *hw_unit_object(HwUnit *unit)
{
    JsonObject *o = json_object_new();

    json_object_set_int_member(o, "slot", hw_unit_slot(unit));
    json_object_set_string_member(o, "name", hw_unit_name(unit));
    json_object_set_string_member(o, "card", hw_unit_card(unit)->name);
    return o;
}

static void member_move(JsonObject *object, const gchar *name, JsonNode *node, gpointer to)
{
    (void)object;
    json_object_set_member(to, name, json_node_copy(node));
}

void hw_node_event(struct hw_supervised *s, const char *name, JsonObject *more)
{
    JsonObject *data = hw_unit_object(HW_UNIT(s->board));

    json_object_foreach_member(more, member_move, data);
    json_object_unref(more);
    if (s->node->config.event) {
        s->node->config.event(name, data, s->node->config.user);
    } else {
        json_object_unref(data);
    }
}

static int64_t since_ms(HwUnit *unit)
{
    return MAX(0, (fw_clock_wall_ns() - hw_unit_since_ns(unit)) / FW_MS);
}

static void unit_members(JsonObject *o, HwUnit *unit)
{
    const struct catalog_card *card = hw_unit_card(unit);

    json_object_set_string_member(o, "kind",
                                  HW_IS_BOARD(unit)
                                      ? bus_board_kind_names[hw_board_kind(HW_BOARD(unit))]
                                      : catalog_kind_name(card->kind));
    json_object_set_string_member(o, "description", card->description);
    json_object_set_string_member(o, "state", bus_fru_state_names[hw_unit_state(unit)]);
    json_object_set_int_member(o, "reason", hw_unit_reason(unit));
    json_object_set_string_member(o, "reason-text", hw_unit_reason_text(unit));
    json_object_set_int_member(o, "generation", hw_unit_generation(unit));
    json_object_set_int_member(o, "uptime-ms", since_ms(unit));
    if (HW_IS_BOARD(unit)) {
        HwBoard *board = HW_BOARD(unit);

        json_object_set_int_member(o, "pid", hw_board_pid(board));
        json_object_set_string_member(o, "stage", bus_boot_stage_names[hw_board_stage(board)]);
        json_object_set_int_member(o, "failures", hw_board_failures(board));
    }
}

JsonArray *hw_node_slots(struct hw_node *node)
{
    JsonArray *all = json_array_new();

    for (unsigned n = 0; n < hw_chassis_n_slots(node->chassis); n++) {
        HwSlot *slot = hw_chassis_slot(node->chassis, n);
        HwUnit *unit = hw_slot_unit(slot);
        JsonObject *o = unit ? hw_unit_object(unit) : json_object_new();

        if (unit) {
            unit_members(o, unit);
            json_object_set_string_member(o, "part-number", hw_unit_card(unit)->part_number);
            json_object_set_string_member(o, "serial-number", hw_unit_serial(unit));
            json_object_set_string_member(o, "model-number", hw_unit_card(unit)->inventory_model);
            json_object_set_int_member(o, "temperature", hw_unit_temperature(unit));
        } else {
            json_object_set_int_member(o, "slot", hw_slot_number(slot));
            json_object_set_string_member(o, "card", "");
            json_object_set_string_member(o, "state", bus_fru_state_names[BUS_FRU_STATE_EMPTY]);
        }
        json_object_set_string_member(o, "label", hw_slot_label(slot));
        json_array_add_object_element(all, o);
    }
    return all;
}

static JsonArray *daemons_array(struct hw_supervised *s)
{
    JsonArray *all = json_array_new();

    for (guint n = 0; n < s->daemons->len; n++) {
        const struct bus_daemon_state *d = &g_array_index(s->daemons, struct bus_daemon_state, n);
        JsonObject *o = json_object_new();

        json_object_set_string_member(o, "name", d->name);
        json_object_set_int_member(o, "pid", d->pid);
        json_object_set_string_member(o, "state", d->state);
        json_object_set_int_member(o, "restarts", d->restarts);
        json_object_set_int_member(o, "uptime-ms", MAX(0, (fw_clock_ns() - d->since_ns) / FW_MS));
        json_array_add_object_element(all, o);
    }
    return all;
}

JsonArray *hw_node_boards(struct hw_node *node)
{
    JsonArray *all = json_array_new();

    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        struct hw_supervised *s = &node->boards[n];
        JsonObject *o;
        unsigned attached = 0;

        if (!s->board) {
            continue;
        }
        o = hw_unit_object(HW_UNIT(s->board));
        unit_members(o, HW_UNIT(s->board));
        json_object_set_string_member(o, "program", s->role->program);
        json_object_set_string_member(o, "detail", hw_board_detail(s->board));
        json_object_set_int_member(o, "index", hw_board_index(s->board));
        json_object_set_int_member(o, "lanes", hw_board_lanes(s->board));
        json_object_set_int_member(o, "cpu-percent", s->cpu_percent);
        json_object_set_int_member(o, "memory-kib", s->memory_kib);
        for (unsigned other = 0; other < FABRIC_ENDPOINTS_MAX; other++) {
            attached += hw_fabric_attached(s, (uint8_t)other);
        }
        json_object_set_int_member(o, "fabric-peers", attached);
        json_object_set_array_member(o, "daemons", daemons_array(s));
        json_array_add_object_element(all, o);
    }
    return all;
}

JsonObject *hw_node_counters(struct hw_node *node)
{
    const struct bus_gateway_report *r = &node->gateway_report;
    struct hw_relay_counters c;
    JsonObject *o = json_object_new();

    hw_relay_count(node->relay, &c);
    json_object_set_int_member(o, "midplane-frames", (gint64)c.frames);
    json_object_set_int_member(o, "midplane-dropped", (gint64)c.dropped);
    json_object_set_int_member(o, "midplane-forged", (gint64)c.forged);
    json_object_set_int_member(o, "midplane-malformed", (gint64)c.malformed);
    json_object_set_int_member(o, "midplane-busy", (gint64)c.busy);
    json_object_set_int_member(o, "gateway-forwarded", (gint64)r->forwarded);
    json_object_set_int_member(o, "gateway-impaired", (gint64)r->impaired);
    json_object_set_int_member(o, "gateway-no-buffer", (gint64)r->no_buffer);
    json_object_set_int_member(o, "gateway-captured", (gint64)r->captured);
    json_object_set_int_member(o, "gateway-capture-dropped", (gint64)r->capture_dropped);
    return o;
}

/* ---------------------------------------------------------------- measurement */

/* utime + stime of a process in ticks; field 14 and 15 behind the name in brackets. */
static bool cpu_read(uint32_t pid, uint64_t *ret)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/stat", pid);
    g_autofree char *text = NULL;
    unsigned long long user, kernel;
    const char *behind;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !(behind = strrchr(text, ')')) ||
        sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &kernel) != 2) {
        return false;
    }
    *ret = user + kernel;
    return true;
}

static bool memory_read(uint32_t pid, uint32_t *ret_kib)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/statm", pid);
    g_autofree char *text = NULL;
    unsigned long size, resident;

    if (!g_file_get_contents(path, &text, NULL, NULL) ||
        sscanf(text, "%lu %lu", &size, &resident) != 2) {
        return false;
    }
    *ret_kib = (uint32_t)(resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
    return true;
}

void hw_supervised_measure(struct hw_supervised *s)
{
    uint32_t pid = hw_board_pid(s->board), memory;
    unsigned before = s->cpu_percent;
    uint64_t ticks;

    if (!pid || !cpu_read(pid, &ticks) || !memory_read(pid, &memory)) {
        return;
    }
    /* One round is one second; ticks are hundredths. */
    if (s->cpu_ticks && ticks >= s->cpu_ticks) {
        s->cpu_percent = (unsigned)MIN((ticks - s->cpu_ticks) * 100 /
                                           (uint64_t)(5 * sysconf(_SC_CLK_TCK)),
                                       100 * FABRIC_LANES_MAX);
    }
    s->cpu_ticks = ticks;
    if (before != s->cpu_percent || memory / 1024 != s->memory_kib / 1024) {
        s->memory_kib = memory;
        hw_unit_changed(HW_UNIT(s->board));
    }
}
