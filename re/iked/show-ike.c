/*
 * show-ike - get-ike-security-associations-information (srx5000 reference E.11): brief, detail,
 * index, peer.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "re/iked/iked.h"

#include "re/ike/message.h" /* ike_id_text */

struct show {
    struct iked *iked;
    struct re_xml *xml;
    bool detail;
    bool by_index;
    uint32_t index;
    struct fw_addr peer; /* none: all */
};

static void leaf_addr(struct re_xml *xml, const char *element, const struct fw_addr *a)
{
    char text[FW_ADDR_TEXT];

    re_xml_leaf(xml, element, "%s", fw_addr_text(a, text));
}

static void brief(struct show *s, const struct ike_sa_view *v)
{
    re_xml_open(s->xml, "ike-security-associations");
    leaf_addr(s->xml, "ike-sa-remote-address", &v->remote);
    re_xml_leaf(s->xml, "ike-sa-index", "%u", v->index);
    re_xml_leaf(s->xml, "ike-sa-state", "%s", v->up ? "UP" : "DOWN");
    re_xml_leaf(s->xml, "ike-sa-initiator-cookie", "%016" G_GINT64_MODIFIER "x", v->spi_i);
    re_xml_leaf(s->xml, "ike-sa-responder-cookie", "%016" G_GINT64_MODIFIER "x", v->spi_r);
    re_xml_leaf(s->xml, "ike-sa-exchange-type", "IKEv2");
    re_xml_close(s->xml);
}

/* ---- detail ---- */

struct of_sa {
    uint32_t index;
    const struct ike_child_view *first;
    struct ike_child_view copy;
    GString *tunnels;
};

static bool collect(const struct ike_child_view *v, void *data)
{
    struct of_sa *o = data;

    if (v->sa_index == o->index && v->current) {
        if (!o->first) {
            o->copy = *v;
            o->first = &o->copy;
        }
        g_string_append_printf(o->tunnels, "%s%u", o->tunnels->len ? " " : "", v->tunnel);
    }
    return true;
}

/* The gateway's first tunnel tells where, while no CHILD SA does. */
static bool place_of(struct iked *iked, const struct ike_sa_view *v, const struct of_sa *o,
                     uint8_t *ret_fpc, uint8_t *ret_pic)
{
    GHashTableIter it;
    gpointer value;

    if (o->first) {
        *ret_fpc = o->first->place.slot;
        *ret_pic = o->first->place.spu;
        return true;
    }
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const struct tunnel *t = value;

        if (strcmp(t->c.gateway, v->gateway) == 0 && t->c.anchor) {
            *ret_fpc = t->c.slot;
            *ret_pic = t->c.spu;
            return true;
        }
    }
    return false;
}

static void algorithms(struct re_xml *xml, const struct ike_suite *suite)
{
    const struct fw_enc_row *enc = fw_enc_row(suite->enc);

    re_xml_open(xml, "ike-sa-algorithms");
    re_xml_leaf(xml, "ike-sa-authentication-algorithm", "%s",
                enc->aead ? enc->ike_show : fw_integ_row(suite->integ)->show);
    re_xml_leaf(xml, "ike-sa-encryption-algorithm", "%s", enc->ike_show);
    re_xml_leaf(xml, "ike-sa-prf-algorithm", "%s", fw_prf_row(suite->prf)->show);
    re_xml_leaf(xml, "ike-sa-dhgroup", "DH-group-%u", suite->group);
    re_xml_close(xml);
}

static void counters(struct re_xml *xml, const struct ike_sa_view *v)
{
    re_xml_open(xml, "ike-sa-traffic-statistics");
    re_xml_leaf(xml, "ike-sa-input-bytes", "%" G_GUINT64_FORMAT, v->in_bytes);
    re_xml_leaf(xml, "ike-sa-output-bytes", "%" G_GUINT64_FORMAT, v->out_bytes);
    re_xml_leaf(xml, "ike-sa-input-packets", "%" G_GUINT64_FORMAT, v->in_packets);
    re_xml_leaf(xml, "ike-sa-output-packets", "%" G_GUINT64_FORMAT, v->out_packets);
    re_xml_leaf(xml, "ike-sa-input-frag-packets", "0");
    re_xml_leaf(xml, "ike-sa-output-frag-packets", "0");
    re_xml_close(xml);
}

static void addresses(struct re_xml *xml, const struct ike_sa_view *v)
{
    leaf_addr(xml, "ike-sa-local-address", &v->local);
    re_xml_leaf(xml, "ike-sa-local-port", "%u", v->local_port);
    leaf_addr(xml, "ike-sa-remote-address", &v->remote);
    re_xml_leaf(xml, "ike-sa-remote-port", "%u", v->remote_port);
}

static void negotiation(struct re_xml *xml, const struct ike_sa_view *v)
{
    char text[2 * IKE_ID_MAX];

    re_xml_open(xml, "ike-sa-phase2-information");
    re_xml_leaf(xml, "ike-sa-negotiation-type", "Quick mode");
    re_xml_leaf(xml, "ike-sa-role", v->initiator ? "Initiator" : "Responder");
    re_xml_leaf(xml, "ike-sa-message-id", "0");
    addresses(xml, v);
    re_xml_leaf(xml, "ike-sa-local-identity", "%s", ike_id_text(&v->local_id, text, sizeof text));
    re_xml_leaf(xml, "ike-sa-remote-identity", "%s", ike_id_text(&v->remote_id, text, sizeof text));
    re_xml_leaf(xml, "ike-sa-flags", "IKE SA is created");
    re_xml_close(xml);
}

static void detail(struct show *s, const struct ike_sa_view *v)
{
    struct re_xml *xml = s->xml;
    struct of_sa o = {.index = v->index, .tunnels = g_string_new(NULL)};
    int64_t left = v->hard_ns == INT64_MAX ? -1 : (v->hard_ns - fw_clock_ns()) / FW_SEC;
    uint8_t fpc, pic;
    char text[2 * IKE_ID_MAX];

    ike_child_each(s->iked->ike, collect, &o);
    re_xml_open(xml, "ike-security-associations-block");
    leaf_addr(xml, "ike-sa-remote-address", &v->remote);
    re_xml_leaf(xml, "ike-sa-index", "%u", v->index);
    re_xml_leaf(xml, "ike-gw-name", "%s", v->gateway);
    if (place_of(s->iked, v, &o, &fpc, &pic)) {
        re_xml_open(xml, "ike-sa-location");
        re_xml_leaf(xml, "ike-sa-fpc", "%u", fpc);
        re_xml_leaf(xml, "ike-sa-pic", "%u", pic);
        re_xml_close(xml);
    }
    re_xml_open(xml, "ike-security-associations");
    re_xml_leaf(xml, "ike-sa-role", v->initiator ? "Initiator" : "Responder");
    re_xml_leaf(xml, "ike-sa-state", v->up ? "UP" : "DOWN");
    re_xml_leaf(xml, "ike-sa-initiator-cookie", "%016" G_GINT64_MODIFIER "x", v->spi_i);
    re_xml_leaf(xml, "ike-sa-responder-cookie", "%016" G_GINT64_MODIFIER "x", v->spi_r);
    re_xml_leaf(xml, "ike-sa-exchange-type", "IKEv2");
    re_xml_leaf(xml, "ike-sa-authentication-method", "Pre-shared-keys");
    addresses(xml, v);
    if (left >= 0) {
        re_xml_leaf(xml, "ike-sa-lifetime", "Expires in %" G_GINT64_FORMAT " seconds", left);
    } else {
        re_xml_leaf(xml, "ike-sa-lifetime", "-");
    }
    re_xml_leaf(xml, "ike-sa-reauthlifetime", "Disabled");
    re_xml_leaf(xml, "ike-sa-ike-frag", "Disabled");
    re_xml_leaf(xml, "ike-sa-frag-size", "0");
    re_xml_leaf(xml, "ike-sa-remote-client-info", "Unknown Client");
    re_xml_open(xml, "ike-xauth-user-info");
    re_xml_leaf(xml, "ike-ike-id", "%s", ike_id_text(&v->remote_id, text, sizeof text));
    re_xml_leaf(xml, "ike-xauth-user-assigned-ip", "0.0.0.0");
    re_xml_close(xml);
    if (v->up) {
        algorithms(xml, &v->suite);
    }
    counters(xml, v);
    re_xml_open(xml, "ike-sa-misc");
    re_xml_leaf(xml, "ike-sa-flags", "%s", v->up ? "IKE SA is created" : "");
    re_xml_leaf(xml, "ike-sa-num-ipsec-sas-created", "%u", 2 * v->children_created);
    re_xml_leaf(xml, "ike-sa-num-ipsec-sas-deleted", "%u", 2 * v->children_deleted);
    re_xml_leaf(xml, "ike-sa-num-phase2-negotiations", "%u", v->negotiations);
    re_xml_leaf(xml, "ike-ipsec-sa-tunnel-ids", "%s", o.tunnels->str);
    re_xml_close(xml);
    if (v->negotiations) {
        negotiation(xml, v);
    }
    re_xml_close(xml);
    re_xml_close(xml);
    g_string_free(o.tunnels, TRUE);
}

static bool visit(const struct ike_sa_view *v, void *data)
{
    struct show *s = data;

    if ((s->by_index && s->index != v->index) ||
        (s->peer.family && !fw_addr_equal(&s->peer, &v->remote))) {
        return true;
    }
    if (s->detail) {
        detail(s, v);
    } else {
        brief(s, v);
    }
    return true;
}

bool show_ike(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
              void *token)
{
    struct show s = {.iked = data, .xml = xml};
    const char *index = re_rpc_argument(call, "index");
    const char *peer = re_rpc_argument(call, "peer-address");

    (void)token;
    peer = peer ? peer : re_rpc_argument(call, "peer");
    s.detail = re_rpc_argument(call, "detail") != NULL;
    if (index) {
        s.by_index = true;
        s.index = (uint32_t)g_ascii_strtoull(index, NULL, 10);
        s.detail = s.detail || !re_rpc_argument(call, "brief");
    }
    if (peer && !fw_addr_parse(peer, &s.peer)) {
        return fw_fail(error, FW_ERROR_INVALID, "%s: not an address", peer);
    }
    re_xml_open(xml, "ike-security-associations-information");
    ike_sa_each(s.iked->ike, visit, &s);
    re_xml_close(xml);
    return true;
}
