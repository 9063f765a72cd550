/*
 * child - CHILD SAs: from a complete negotiation to installed SAs, and off again.
 *
 * Loss-free change (initiator of a rekey): new inbound, new outbound, Delete of the old one.
 * Responder: new inbound before the answer; new outbound when the Delete of the old one comes or
 * after IKE_SWITCH_NS. The inbound SA of a replaced pair stays IKE_OLD_INBOUND_NS at the card.
 */
#include "re/ike/internal.h"

#include <string.h>

struct ike_child *ike_child_by_in(struct ike_sa *sa, uint32_t spi_in)
{
    for (unsigned i = 0; i < sa->children->len; i++) {
        struct ike_child *c = sa->children->pdata[i];

        if (c->spi_in == spi_in) {
            return c;
        }
    }
    return NULL;
}

struct ike_child *ike_child_by_out(struct ike_sa *sa, uint32_t spi_out)
{
    for (unsigned i = 0; i < sa->children->len; i++) {
        struct ike_child *c = sa->children->pdata[i];

        if (c->spi_out == spi_out) {
            return c;
        }
    }
    return NULL;
}

struct ike_child *ike_child_of_tunnel(struct ike_sa *sa, uint32_t tunnel)
{
    struct ike_child *best = NULL;

    for (unsigned i = 0; i < sa->children->len; i++) {
        struct ike_child *c = sa->children->pdata[i];

        if (c->tunnel == tunnel && !c->replaced && !c->deleting) {
            best = c;
        }
    }
    return best;
}

struct ike_child *ike_child_find(struct ike *ike, uint32_t tunnel, struct ike_sa **ret_sa)
{
    GHashTableIter it;
    gpointer value;
    struct ike_child *best = NULL;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;
        struct ike_child *c = sa->state == IKE_S_UP ? ike_child_of_tunnel(sa, tunnel) : NULL;

        if (c && (!best || c->created_ns >= best->created_ns)) {
            best = c;
            *ret_sa = sa;
        }
    }
    return best;
}

unsigned ike_tunnel_selectors(const struct ike_tunnel *t, struct ike_selector *ret)
{
    if (t->c.n_selectors == 0) {
        return ike_ts_any(ret);
    }
    memcpy(ret, t->c.selectors, t->c.n_selectors * sizeof ret[0]);
    return t->c.n_selectors;
}

void ike_child_free(struct ike_child *child)
{
    fw_wipe(child, sizeof *child);
    g_free(child);
}

static void install(struct ike_sa *sa, struct ike_child *c, enum ike_direction direction,
                    const uint8_t *key, const uint8_t *integ)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_INSTALL);

    a->sa_index = sa->index;
    a->tunnel = c->tunnel;
    a->place = c->place;
    a->direction = direction;
    a->spi = direction == IKE_INBOUND ? c->spi_in : c->spi_out;
    a->suite = c->suite;
    a->key_len = ike_esp_key_len(&c->suite);
    memcpy(a->key, key, a->key_len);
    if (!fw_enc_row(c->suite.enc)->aead) {
        a->integ_key_len = fw_integ_row(c->suite.integ)->key_bytes;
        memcpy(a->integ_key, integ, a->integ_key_len);
    }
    a->local = sa->local;
    a->remote = sa->remote;
    if (sa->nat_local || sa->nat_remote) {
        a->local_port = IKE_NATT_PORT;
        a->remote_port = sa->natt ? sa->remote_port : IKE_NATT_PORT;
    }
    memcpy(a->selectors, c->selectors, sizeof a->selectors);
    a->n_selectors = c->n_selectors;
}

struct ike_child *ike_child_build(struct ike_sa *sa, struct ike_nego *n)
{
    uint8_t key_i[IKE_ESP_KEY_MAX], key_r[IKE_ESP_KEY_MAX];
    uint8_t integ_i[FW_PRF_MAX], integ_r[FW_PRF_MAX];
    struct ike_child *c;

    if (sa->children->len >= IKE_CHILDREN_MAX ||
        !ike_child_keys(sa, n, key_i, integ_i, key_r, integ_r)) {
        return NULL;
    }
    c = g_new0(struct ike_child, 1);
    c->tunnel = n->tunnel;
    c->spi_in = n->spi_in;
    c->spi_out = n->spi_out;
    n->spi_in = 0; /* the child's now: not to be released with the negotiation */
    c->place = n->place;
    c->suite = n->esp;
    memcpy(c->selectors, n->selectors, sizeof c->selectors);
    c->n_selectors = n->n_selectors;
    c->outbound_at_ns = INT64_MAX;
    ike_nonce_min(&n->ni, &n->nr, c->nonce_min);
    ike_child_set_lifetime(sa, c);
    memcpy(c->key_out, n->initiator ? key_i : key_r, sizeof c->key_out);
    memcpy(c->integ_out, n->initiator ? integ_i : integ_r, sizeof c->integ_out);
    g_ptr_array_add(sa->children, c);
    sa->children_created++;
    install(sa, c, IKE_INBOUND, n->initiator ? key_r : key_i, n->initiator ? integ_r : integ_i);
    fw_wipe(key_i, sizeof key_i);
    fw_wipe(key_r, sizeof key_r);
    fw_wipe(integ_i, sizeof integ_i);
    fw_wipe(integ_r, sizeof integ_r);
    return c;
}

void ike_child_install_outbound(struct ike_sa *sa, struct ike_child *child)
{
    child->outbound_at_ns = INT64_MAX;
    if (!child->outbound) {
        /* The record says so before the card knows: a key whose counter may have been used is
         * never installed a second time, whenever we are killed. */
        child->outbound = true;
        ike_sa_record(sa);
        install(sa, child, IKE_OUTBOUND, child->key_out, child->integ_out);
        fw_wipe(child->key_out, sizeof child->key_out);
        fw_wipe(child->integ_out, sizeof child->integ_out);
    }
}

static void remove_sa(struct ike_sa *sa, const struct ike_child *c, enum ike_direction direction,
                      int64_t delay_ns)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_DELETE);

    a->sa_index = sa->index;
    a->tunnel = c->tunnel;
    a->place = c->place;
    a->direction = direction;
    a->spi = direction == IKE_INBOUND ? c->spi_in : c->spi_out;
    a->delay_ns = delay_ns;
}

void ike_child_drop(struct ike_sa *sa, struct ike_child *child, enum ike_reason reason)
{
    if (!child->lost) {
        if (child->outbound) {
            remove_sa(sa, child, IKE_OUTBOUND, 0);
        }
        remove_sa(sa, child, IKE_INBOUND,
                  child->replaced || reason == IKE_REASON_REPLACED ? IKE_OLD_INBOUND_NS : 0);
    }
    g_ptr_array_remove(sa->children, child);
    sa->children_deleted++;
    if (!child->replaced) {
        ike_event_push(sa, IKE_EVENT_CHILD_DOWN, reason, child->tunnel);
    }
    ike_child_free(child);
}
