/*
 * clear - clear-ike-security-association, clear-ipsec-security-association: SAs are deleted with a
 * notification to the peer; tunnels that are to be up come up again at once.
 */
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "re/iked/iked.h"

struct by_peer {
    struct fw_addr peer;
    GArray *indices;
};

static bool collect(const struct ike_sa_view *v, void *data)
{
    struct by_peer *b = data;

    if (fw_addr_equal(&b->peer, &v->remote)) {
        g_array_append_val(b->indices, v->index);
    }
    return true;
}

bool clear_ike(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
               void *token)
{
    struct iked *iked = data;
    const char *index = re_rpc_argument(call, "index");
    const char *peer = re_rpc_argument(call, "peer-address");
    struct by_peer b = {0};

    (void)token;
    peer = peer ? peer : re_rpc_argument(call, "peer");
    if (peer) {
        if (!fw_addr_parse(peer, &b.peer)) {
            return fw_fail(error, FW_ERROR_INVALID, "%s: not an address", peer);
        }
        b.indices = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        ike_sa_each(iked->ike, collect, &b);
        for (unsigned i = 0; i < b.indices->len; i++) {
            ike_sa_clear(iked->ike, g_array_index(b.indices, uint32_t, i), IKE_REASON_OPERATOR,
                         fw_clock_ns());
        }
        g_array_free(b.indices, TRUE);
    } else {
        ike_sa_clear(iked->ike, index ? (uint32_t)g_ascii_strtoull(index, NULL, 10) : 0,
                     IKE_REASON_OPERATOR, fw_clock_ns());
    }
    re_xml_flag(xml, "ok");
    iked_pump(iked);
    return true;
}

bool clear_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                 void *token)
{
    struct iked *iked = data;
    const char *index = re_rpc_argument(call, "index");

    (void)error;
    (void)token;
    ike_tunnel_clear(iked->ike, index ? (uint32_t)g_ascii_strtoull(index, NULL, 10) : 0,
                     IKE_REASON_OPERATOR, fw_clock_ns());
    re_xml_flag(xml, "ok");
    iked_pump(iked);
    return true;
}

bool rekey_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                 void *token)
{
    struct iked *iked = data;
    const char *index = re_rpc_argument(call, "index");
    uint32_t wanted = index ? (uint32_t)g_ascii_strtoull(index, NULL, 10) : 0;
    unsigned n = 0;
    GHashTableIter it;
    gpointer value;

    (void)token;
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        uint32_t tunnel = ((struct tunnel *)value)->c.tunnel;

        if ((wanted == 0 || wanted == tunnel) && ike_tunnel_up(iked->ike, tunnel)) {
            ike_tunnel_rekey(iked->ike, tunnel, fw_clock_ns());
            n++;
        }
    }
    if (n == 0) {
        return fw_fail(error, FW_ERROR_NOT_FOUND, "no tunnel%s%s is up: nothing to rekey",
                       index ? " " : "", index ? index : "");
    }
    re_xml_flag(xml, "ok");
    iked_pump(iked);
    return true;
}

bool clear_events(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                  void *token)
{
    struct iked *iked = data;
    GHashTableIter it;
    gpointer value;

    (void)call;
    (void)error;
    (void)token;
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        ((struct tunnel *)value)->n_events = 0;
    }
    re_xml_flag(xml, "ok");
    return true;
}
