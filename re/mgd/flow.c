/*
 * flow - see flow.h. A card that does not answer is left out; its block is then missing, as on
 * the device.
 */
#include "re/mgd/flow.h"

#include "firmware/core/addr.h"
#include "firmware/core/error.h"

#define SLOTS   128
#define CARD_MS 3000 /* a card's time for a page */

struct flow {
    struct bus_conn *bus;
    bool cards[SLOTS];   /* services cards in service */
    uint8_t spus[SLOTS];
    GHashTable *names;   /* ifl -> name */
};

struct asking {
    struct flow *flow;
    void *token;
    unsigned slot;       /* asked now */
    uint32_t skip;
    uint32_t total;
    xmlDoc *doc;
    xmlNode *blocks[UINT8_MAX + 1]; /* of the card's SPUs */
    uint32_t counts[UINT8_MAX + 1];
};

static void leaf(xmlNode *parent, const char *name, const char *text)
{
    xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text);
}

static void leaf_number(xmlNode *parent, const char *name, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    leaf(parent, name, text);
}

static void leaf_addr(xmlNode *parent, const char *name, const struct fw_addr *addr)
{
    char text[FW_ADDR_TEXT];

    leaf(parent, name, fw_addr_text(addr, text));
}

static void leaf_protocol(xmlNode *parent, uint8_t protocol)
{
    static const struct {
        uint8_t number;
        const char *name;
    } names[] = {{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {47, "gre"}, {50, "esp"}, {51, "ah"},
                 {58, "icmp6"}};

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].number == protocol) {
            leaf(parent, "protocol", names[i].name);
            return;
        }
    }
    leaf_number(parent, "protocol", protocol);
}

static const char *ifl_name(const struct flow *flow, uint16_t ifl)
{
    const char *name = g_hash_table_lookup(flow->names, GUINT_TO_POINTER(ifl));

    return name ? name : ifl == 0 ? ".local..0" : "";
}

static void wing(const struct flow *flow, xmlNode *session, const struct bus_session_info *s,
                 bool forward)
{
    xmlNode *w = xmlNewChild(session, NULL, BAD_CAST "flow-information", NULL);

    leaf(w, "direction", forward ? "In" : "Out");
    leaf_addr(w, "source-address", forward ? &s->source : &s->destination);
    leaf_number(w, "source-port", forward ? s->source_port : s->destination_port);
    leaf_addr(w, "destination-address", forward ? &s->destination : &s->source);
    leaf_number(w, "destination-port", forward ? s->destination_port : s->source_port);
    leaf_protocol(w, s->protocol);
    leaf(w, "interface-name", ifl_name(flow, forward ? s->in_ifl : s->out_ifl));
    leaf_number(w, "pkt-cnt", forward ? s->in_packets : s->out_packets);
    leaf_number(w, "byte-cnt", forward ? s->in_bytes : s->out_bytes);
}

static xmlNode *block(struct asking *a, unsigned spu)
{
    if (!a->blocks[spu]) {
        g_autofree char *text = g_strdup_printf("on FPC%u PIC%u:", a->slot, spu);

        a->blocks[spu] =
            xmlNewChild(xmlDocGetRootElement(a->doc), NULL, BAD_CAST "flow-session", NULL);
        leaf(a->blocks[spu], "flow-fpc-pic-id", text);
    }
    return a->blocks[spu];
}

static void add(struct asking *a, const struct bus_session_info *s)
{
    xmlNode *session = xmlNewChild(block(a, s->spu), NULL, BAD_CAST "session", NULL);

    a->counts[s->spu]++;
    leaf_number(session, "session-identifier", s->id);
    leaf(session, "status", "Normal");
    leaf(session, "session-state", "Active");
    leaf(session, "policy", s->policy);
    leaf_number(session, "timeout", s->timeout_s);
    wing(a->flow, session, s, true);
    wing(a->flow, session, s, false);
}

static void ask(struct asking *a);

static void finish(struct asking *a, const GError *error)
{
    if (error) {
        xmlFreeDoc(a->doc);
    }
    rpc_own_finish(a->token, error ? NULL : a->doc, error);
    g_free(a);
}

static void card_end(struct asking *a)
{
    for (unsigned spu = 0; spu < G_N_ELEMENTS(a->blocks); spu++) {
        if (a->blocks[spu]) {
            leaf_number(a->blocks[spu], "displayed-session-count", a->counts[spu]);
        }
        a->blocks[spu] = NULL;
        a->counts[spu] = 0;
    }
    a->slot++;
    a->skip = 0;
    ask(a);
}

static void answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    struct asking *a = data;
    const struct bus_session_list *list = msg;
    g_autoptr(GError) refusal = NULL;

    (void)conn;
    if (error || header->type != BUS_SESSION_LIST) {
        card_end(a);
        return;
    }
    for (unsigned i = 0; i < list->n_sessions; i++) {
        add(a, &list->sessions[i]);
    }
    a->skip += list->n_sessions;
    a->total += list->n_sessions;
    if (a->total > FLOW_SESSIONS_MAX) {
        fw_fail(&refusal, FW_ERROR_UNSUPPORTED, "more than %u sessions", FLOW_SESSIONS_MAX);
        finish(a, refusal);
    } else if (list->more && list->n_sessions) {
        ask(a);
    } else {
        card_end(a);
    }
}

/* The present card, or the next one in service. */
static void ask(struct asking *a)
{
    struct bus_session_query query = {.skip = a->skip};

    while (a->slot < SLOTS && !a->flow->cards[a->slot]) {
        a->slot++;
    }
    if (a->slot == SLOTS) {
        finish(a, NULL);
        return;
    }
    for (unsigned spu = 0; a->skip == 0 && spu < a->flow->spus[a->slot]; spu++) {
        block(a, spu);
    }
    bus_call(a->flow->bus, BUS_ADDRESS(a->slot, BUS_ROLE_BOARD), BUS_SESSION_QUERY, &query,
             CARD_MS, answered, a);
}

static void sessions(const struct bus_rpc_call *call, void *token, void *data)
{
    struct asking *a = g_new0(struct asking, 1);

    (void)call;
    a->flow = data;
    a->token = token;
    a->doc = xmlNewDoc(BAD_CAST "1.0");
    xmlDocSetRootElement(a->doc, xmlNewNode(NULL, BAD_CAST "flow-session-information"));
    ask(a);
}

struct flow *flow_new(struct bus_conn *bus, struct rpc *rpc)
{
    struct flow *flow = g_new0(struct flow, 1);

    flow->bus = bus;
    flow->names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    rpc_own_later_add(rpc, "get-flow-session-information", sessions, flow);
    return flow;
}

void flow_free(struct flow *flow)
{
    if (flow) {
        g_hash_table_destroy(flow->names);
        g_free(flow);
    }
}

void flow_message(struct flow *flow, const struct bus_header *header, const void *msg)
{
    if (header->type == BUS_FPC_STATE) {
        const struct bus_fpc_state *m = msg;

        if (m->slot < SLOTS) {
            flow->cards[m->slot] = m->online && !m->gone && m->kind == BUS_BOARD_KIND_SPC;
            flow->spus[m->slot] = m->spus;
        }
    } else if (header->type == BUS_IFL_STATE) {
        const struct bus_ifl_state *m = msg;

        if (m->gone) {
            g_hash_table_remove(flow->names, GUINT_TO_POINTER(m->ifl));
        } else {
            g_hash_table_replace(flow->names, GUINT_TO_POINTER(m->ifl), g_strdup(m->name));
        }
    }
}
