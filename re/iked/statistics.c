/*
 * statistics - get-ipsec-statistics-information (srx5000 reference E.13): sums over the services
 * cards that anchor tunnels. Answered when the last card has answered or was given up.
 */
#include <string.h>

#include "re/iked/iked.h"

#define CARD_MS 2000

/* The cards' counters have the names of the elements; one that no card has stays 0. */
static const struct row {
    const char *group;
    const char *element;
} rows[] = {
    {"esp-statistics", "esp-encrypted-bytes"},
    {"esp-statistics", "esp-decrypted-bytes"},
    {"esp-statistics", "esp-encrypted-packets"},
    {"esp-statistics", "esp-decrypted-packets"},
    {"ah-statistics", "ah-input-bytes"},
    {"ah-statistics", "ah-output-bytes"},
    {"ah-statistics", "ah-input-packets"},
    {"ah-statistics", "ah-output-packets"},
    {"error-statistics", "ah-authentication-failures"},
    {"error-statistics", "replay-errors"},
    {"error-statistics", "esp-authentication-failures"},
    {"error-statistics", "esp-decryption-failures"},
    {"error-statistics", "bad-headers"},
    {"error-statistics", "bad-trailers"},
    {"error-statistics", "invalid-spi-errors"},
    {"error-statistics", "ts-check-fail-errors"},
    {"error-statistics", "exceeds-tunnel-mtu"},
    {"error-statistics", "discard-errors"},
};

struct sum {
    void *token;
    unsigned open;
    uint64_t values[G_N_ELEMENTS(rows)];
};

static void finish(struct sum *s)
{
    struct re_xml *xml = re_xml_new();
    const char *group = NULL;

    re_xml_open(xml, "usp-ipsec-total-statistics-information");
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!group || strcmp(group, rows[i].group) != 0) {
            if (group) {
                re_xml_close(xml);
            }
            group = rows[i].group;
            re_xml_open(xml, group);
        }
        re_xml_leaf(xml, rows[i].element, "%" G_GUINT64_FORMAT, s->values[i]);
    }
    re_xml_close(xml);
    re_xml_close(xml);
    re_rpc_finish(s->token, xml, NULL);
    re_xml_free(xml);
    g_free(s);
}

static void add(struct sum *s, const struct bus_counter *c)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strcmp(rows[i].element, c->name) == 0) {
            s->values[i] += c->value;
        }
    }
}

static void answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    struct sum *s = data;

    (void)conn;
    if (!error && header->type == BUS_STATISTICS) {
        const struct bus_statistics *m = msg;

        for (unsigned i = 0; i < m->n_counters; i++) {
            add(s, &m->counters[i]);
        }
    }
    if (--s->open == 0) {
        finish(s);
    }
}

bool show_statistics(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                     void *data, void *token)
{
    struct iked *iked = data;
    struct sum *s = g_new0(struct sum, 1);
    struct bus_statistics_query m = {.spu = 0xff};
    uint8_t asked[256 / 8] = {0};
    GHashTableIter it;
    gpointer value;

    (void)call;
    (void)xml;
    (void)error;
    s->token = token;
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const struct tunnel *t = value;

        if (t->c.anchor && !(asked[t->c.slot / 8] & 1 << t->c.slot % 8)) {
            asked[t->c.slot / 8] |= (uint8_t)(1 << t->c.slot % 8);
            s->open++;
            bus_call(iked->bus, BUS_ADDRESS(t->c.slot, BUS_ROLE_BOARD), BUS_STATISTICS_QUERY, &m,
                     CARD_MS, answered, s);
        }
    }
    if (s->open == 0) {
        finish(s);
    }
    return false;
}

static void message_count(struct re_xml *xml, const char *name, uint64_t value)
{
    re_xml_open(xml, "ike-message-counter");
    re_xml_leaf(xml, "name", "%s", name);
    re_xml_leaf(xml, "value", "%" G_GUINT64_FORMAT, value);
    re_xml_close(xml);
}

bool show_messages(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                   void *token)
{
    struct iked *iked = data;

    (void)call;
    (void)error;
    (void)token;
    re_xml_open(xml, "ike-message-statistics");
    for (unsigned v = 0; v < IKE_VERDICT_COUNT; v++) {
        message_count(xml, ike_verdict_name(v), ike_counter(iked->ike, v));
    }
    message_count(xml, "stray", port_strays(iked->port));
    re_xml_close(xml);
    return true;
}
