/*
 * show-ipsec - get-security-associations-information (srx5000 reference E.12): brief, detail,
 * index, vpn-name.
 */
#include <string.h>
#include <time.h>

#include "firmware/core/clock.h"
#include "re/iked/iked.h"

struct show {
    struct iked *iked;
    struct re_xml *xml;
    bool detail;
    uint32_t index;   /* 0: all */
    const char *vpn;  /* NULL: all */
    GArray *children; /* struct ike_child_view, current ones that match */
};

static bool collect(const struct ike_child_view *v, void *data)
{
    struct show *s = data;
    struct tunnel *t = iked_tunnel(s->iked, v->tunnel);

    if (v->current && t && (!s->index || s->index == v->tunnel) &&
        (!s->vpn || strcmp(s->vpn, t->c.vpn) == 0)) {
        g_array_append_val(s->children, *v);
    }
    return true;
}

static gint by_tunnel(gconstpointer a, gconstpointer b)
{
    const struct ike_child_view *x = a, *y = b;

    if (x->tunnel != y->tunnel) {
        return x->tunnel < y->tunnel ? -1 : 1;
    }
    return x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

static int64_t seconds_left(int64_t at_ns)
{
    return at_ns == INT64_MAX ? 0 : MAX(0, (at_ns - fw_clock_ns()) / FW_SEC);
}

static void leaf_addr(struct re_xml *xml, const char *element, const struct fw_addr *a)
{
    char text[FW_ADDR_TEXT];

    re_xml_leaf(xml, element, "%s", fw_addr_text(a, text));
}

/* aes256-gcm, hmac-sha256-128 */
static const char *hmac_name(const struct ike_esp_suite *suite)
{
    const struct fw_enc_row *enc = fw_enc_row(suite->enc);

    return enc->aead ? enc->ike_show : fw_integ_row(suite->integ)->show;
}

static unsigned port_of(const struct ike_child_view *v)
{
    return v->encapsulated ? v->remote_port : IKE_PORT;
}

static void brief_half(struct re_xml *xml, const struct ike_child_view *v, bool inbound)
{
    re_xml_open(xml, "ipsec-security-associations");
    re_xml_leaf(xml, "sa-direction", inbound ? "inbound" : "outbound");
    re_xml_leaf(xml, "sa-tunnel-index", "%u", v->tunnel);
    re_xml_leaf(xml, "sa-spi", "0x%08x", inbound ? v->spi_in : v->spi_out);
    re_xml_leaf(xml, "sa-aux-spi", "0");
    leaf_addr(xml, "sa-remote-gateway", &v->remote);
    re_xml_leaf(xml, "sa-port", "%u", port_of(v));
    re_xml_leaf(xml, "sa-vpn-monitoring-state", "-");
    re_xml_leaf(xml, "sa-protocol", "ESP");
    re_xml_leaf(xml, "sa-esp-encryption-algorithm", "%s", fw_enc_row(v->suite.enc)->ipsec_brief);
    re_xml_leaf(xml, "sa-hmac-algorithm", "%s", hmac_name(&v->suite));
    re_xml_leaf(xml, "sa-hard-lifetime", "%" G_GINT64_FORMAT, seconds_left(v->hard_ns));
    re_xml_leaf(xml, "sa-lifesize-remaining", "unlim");
    re_xml_leaf(xml, "sa-virtual-system", "root");
    re_xml_close(xml);
}

/* ---- detail ---- */

static void identity(struct re_xml *xml, const char *element, const struct ike_child_view *v,
                     bool local)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < v->n_selectors; i++) {
        const struct fw_prefix *p = local ? &v->selectors[i].local : &v->selectors[i].remote;
        struct fw_prefix net = fw_prefix_network(p);
        struct fw_addr last = net.addr;
        char low[FW_ADDR_TEXT], high[FW_ADDR_TEXT];
        char one[2 * FW_ADDR_TEXT + 8];

        for (size_t bit = p->len; bit < 8 * fw_addr_size(&last); bit++) {
            last.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        }
        g_snprintf(one, sizeof one, "%s(%s-%s)", last.family == FW_FAMILY_V6 ? "ipv6" : "ipv4",
                   fw_addr_text(&net.addr, low), fw_addr_text(&last, high));
        if (!strstr(s->str, one)) {
            g_string_append_printf(s, "%s%s", s->len ? "," : "", one);
        }
    }
    re_xml_leaf(xml, element, "%s", s->str);
    g_string_free(s, TRUE);
}

static void events(struct re_xml *xml, const struct tunnel *t)
{
    for (unsigned i = 0; i < t->n_events; i++) {
        time_t at = (time_t)(t->events[i].wall_ns / FW_SEC);
        struct tm tm;
        char text[64];

        gmtime_r(&at, &tm);
        strftime(text, sizeof text, "%a %b %d %Y %H:%M:%S", &tm);
        re_xml_open(xml, "sa-ipsec-tunnel-event");
        re_xml_leaf(xml, "sa-tunnel-event-time", "%s", text);
        re_xml_leaf(xml, "sa-tunnel-event-description", "%s", t->events[i].text);
        re_xml_leaf(xml, "sa-tunnel-event-num-times", "%u", t->events[i].times);
        re_xml_close(xml);
    }
}

static const char *establishment(const struct tunnel *t)
{
    switch (t->c.establish) {
    case BUS_ESTABLISH_ON_TRAFFIC:
        return "establish-tunnels-on-traffic";
    case BUS_ESTABLISH_IMMEDIATELY:
        return "establish-tunnels-immediately";
    case BUS_ESTABLISH_RESPONDER_ONLY:
        return "establish-tunnels-responder-only";
    case BUS_ESTABLISH_RESPONDER_ONLY_NO_REKEY:
        return "establish-tunnels-responder-only-no-rekey";
    }
    return "-";
}

static void detail_half(struct re_xml *xml, const struct tunnel *t, const struct ike_child_view *v,
                        bool inbound)
{
    re_xml_open(xml, "ipsec-security-associations");
    re_xml_leaf(xml, "sa-direction", inbound ? "inbound" : "outbound");
    re_xml_leaf(xml, "sa-spi", "0x%08x", inbound ? v->spi_in : v->spi_out);
    re_xml_leaf(xml, "sa-aux-spi", "0");
    re_xml_leaf(xml, "sa-vpn-monitoring-state", "-");
    re_xml_leaf(xml, "sa-hard-lifetime", "Expires in %" G_GINT64_FORMAT " seconds",
                seconds_left(v->hard_ns));
    re_xml_leaf(xml, "sa-lifesize-remaining", "Unlimited");
    re_xml_leaf(xml, "sa-soft-lifetime", "Expires in %" G_GINT64_FORMAT " seconds",
                seconds_left(v->soft_ns));
    re_xml_leaf(xml, "sa-mode", "Tunnel(0 0)");
    re_xml_leaf(xml, "sa-type", "dynamic");
    re_xml_leaf(xml, "sa-state", "installed");
    re_xml_leaf(xml, "sa-protocol", "ESP");
    re_xml_leaf(xml, "sa-authentication-algorithm", "%s", hmac_name(&v->suite));
    re_xml_leaf(xml, "sa-encryption-algorithm", "%s", fw_enc_row(v->suite.enc)->ipsec_show);
    if (t->c.replay_window) {
        re_xml_leaf(xml, "sa-anti-replay-service", "counter-based enabled");
        re_xml_leaf(xml, "sa-replay-window-size", "%u", t->c.replay_window);
    } else {
        re_xml_leaf(xml, "sa-anti-replay-service", "disabled");
    }
    re_xml_leaf(xml, "sa-extended-seq-number", v->suite.esn ? "Enabled" : "Disabled");
    re_xml_leaf(xml, "sa-tunnel-establishment", "%s", establishment(t));
    re_xml_leaf(xml, "sa-ike-index", "%u", v->sa_index);
    re_xml_close(xml);
}

static void detail(struct show *s, const struct tunnel *t, const struct ike_child_view *v)
{
    static const char *const df[] = {"clear", "set", "copy"};
    struct re_xml *xml = s->xml;

    re_xml_leaf(xml, "sa-tunnel-index", "%u", v->tunnel);
    re_xml_leaf(xml, "sa-virtual-system", "root");
    re_xml_leaf(xml, "sa-vpn-name", "%s", t->c.vpn);
    leaf_addr(xml, "sa-local-gateway", &v->local);
    leaf_addr(xml, "sa-remote-gateway", &v->remote);
    identity(xml, "sa-local-identity", v, true);
    identity(xml, "sa-remote-identity", v, false);
    re_xml_leaf(xml, "sa-ts-type", t->c.n_selectors ? "traffic-selector" : "proxy-id");
    re_xml_leaf(xml, "sa-ike-version", "IKEv2");
    re_xml_leaf(xml, "sa-quantum-secured", "No");
    if (v->suite.group) {
        re_xml_leaf(xml, "sa-pfs-group", "DH-group-%u", v->suite.group);
    } else {
        re_xml_leaf(xml, "sa-pfs-group", "N/A");
    }
    re_xml_leaf(xml, "sa-packet-encapsulation", v->encapsulated ? "UDP" : "None");
    re_xml_leaf(xml, "sa-packet-encapsulation-port", "%u", v->encapsulated ? v->remote_port : 0);
    re_xml_leaf(xml, "sa-passive-mode-tunneling", "Disabled");
    re_xml_leaf(xml, "sa-df-bit", "%s", df[t->c.df < 3 ? t->c.df : 0]);
    re_xml_leaf(xml, "sa-copy-outer-dscp", "Disabled");
    re_xml_leaf(xml, "sa-bind-interface", "%s", t->c.ifl_name);
    re_xml_leaf(xml, "sa-policy-name", "%s", t->c.policy);
    re_xml_leaf(xml, "sa-port", "%u", port_of(v));
    re_xml_leaf(xml, "sa-nego-num", "%u", t->negotiations);
    re_xml_leaf(xml, "sa-nego-fail", "%u", t->failures);
    re_xml_leaf(xml, "sa-del-num", "%u", t->deletes);
    re_xml_leaf(xml, "sa-flag", "0");
    events(xml, t);
    re_xml_open(xml, "sa-location");
    re_xml_leaf(xml, "sa-fpc", "%u", v->place.slot);
    re_xml_leaf(xml, "sa-pic", "%u", v->place.spu);
    re_xml_close(xml);
    re_xml_open(xml, "sa-anchorship");
    re_xml_leaf(xml, "sa-anchor-thread", "%u", v->place.thread);
    re_xml_close(xml);
    re_xml_open(xml, "sa-tunnel-dist");
    re_xml_leaf(xml, "sa-tunnel-dist-key", "default-profile");
    re_xml_close(xml);
    detail_half(xml, t, v, true);
    detail_half(xml, t, v, false);
}

static unsigned count_tunnels(const struct show *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->children->len; i++) {
        n += i == 0 || g_array_index(s->children, struct ike_child_view, i).tunnel !=
                           g_array_index(s->children, struct ike_child_view, i - 1).tunnel;
    }
    return n;
}

bool show_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                void *token)
{
    struct show s = {.iked = data, .xml = xml};
    const char *index = re_rpc_argument(call, "index");

    (void)error;
    (void)token;
    s.vpn = re_rpc_argument(call, "vpn-name");
    s.index = index ? (uint32_t)g_ascii_strtoull(index, NULL, 10) : 0;
    s.detail =
        re_rpc_argument(call, "detail") || ((s.vpn || index) && !re_rpc_argument(call, "brief"));
    s.children = g_array_new(FALSE, FALSE, sizeof(struct ike_child_view));
    ike_child_each(s.iked->ike, collect, &s);
    g_array_sort(s.children, by_tunnel);
    re_xml_open(xml, "ipsec-security-associations-information");
    if (!s.detail) {
        re_xml_leaf(xml, "total-active-tunnels", "%u", count_tunnels(&s));
        re_xml_leaf(xml, "total-ipsec-sas", "%u", s.children->len);
    }
    for (unsigned i = 0; i < s.children->len; i++) {
        const struct ike_child_view *v = &g_array_index(s.children, struct ike_child_view, i);

        re_xml_open(xml, "ipsec-security-associations-block");
        re_xml_leaf(xml, "sa-block-state", "up");
        if (s.detail) {
            detail(&s, iked_tunnel(s.iked, v->tunnel), v);
        } else {
            brief_half(xml, v, true);
            brief_half(xml, v, false);
        }
        re_xml_close(xml);
    }
    re_xml_close(xml);
    g_array_free(s.children, TRUE);
    return true;
}
