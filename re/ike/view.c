/* view - IKE SAs and CHILD SAs as values for shows; see ike.h. */
#include "re/ike/internal.h"

#include <string.h>

static gint by_index(gconstpointer a, gconstpointer b)
{
    const struct ike_sa *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

static void sa_view(const struct ike_sa *sa, struct ike_sa_view *v)
{
    struct ike_gateway *g = ike_gateway_find(sa->ike, sa->gateway);
    struct ike_id scratch;

    memset(v, 0, sizeof *v);
    v->index = sa->index;
    v->gateway = sa->gateway;
    v->initiator = sa->initiator;
    v->up = sa->state == IKE_S_UP;
    v->spi_i = sa->spi_i;
    v->spi_r = sa->spi_r;
    v->local = sa->local;
    v->remote = sa->remote;
    v->local_port = sa->local_port;
    v->remote_port = sa->remote_port;
    v->nat_local = sa->nat_local;
    v->nat_remote = sa->nat_remote;
    v->suite = sa->suite;
    v->remote_id = sa->remote_id;
    if (g) {
        v->local_id = *ike_gateway_local_id(g, &scratch);
        if (!v->remote_id.type) {
            v->remote_id = *ike_gateway_remote_id(g, &scratch);
        }
    }
    v->created_ns = sa->created_ns;
    v->soft_ns = sa->soft_ns;
    v->hard_ns = sa->hard_ns;
    v->in_bytes = sa->in_bytes;
    v->out_bytes = sa->out_bytes_total;
    v->in_packets = sa->in_packets;
    v->out_packets = sa->out_packets;
    v->children_created = sa->children_created;
    v->children_deleted = sa->children_deleted;
    v->negotiations = (unsigned)sa->mine.active + sa->theirs.active;
}

void ike_sa_each(const struct ike *ike, bool (*visit)(const struct ike_sa_view *v, void *data),
                 void *data)
{
    GList *all = g_list_sort(g_hash_table_get_values(ike->by_index), by_index);

    for (GList *l = all; l; l = l->next) {
        struct ike_sa_view v;

        sa_view(l->data, &v);
        if (!visit(&v, data)) {
            break;
        }
    }
    g_list_free(all);
}

void ike_child_each(const struct ike *ike,
                    bool (*visit)(const struct ike_child_view *v, void *data), void *data)
{
    GList *all = g_list_sort(g_hash_table_get_values(ike->by_index), by_index);
    bool more = true;

    for (GList *l = all; l && more; l = l->next) {
        const struct ike_sa *sa = l->data;

        for (unsigned i = 0; more && i < sa->children->len; i++) {
            const struct ike_child *c = sa->children->pdata[i];
            struct ike_child_view v = {0};

            v.tunnel = c->tunnel;
            v.sa_index = sa->index;
            v.spi_in = c->spi_in;
            v.spi_out = c->spi_out;
            v.suite = c->suite;
            memcpy(v.selectors, c->selectors, sizeof v.selectors);
            v.n_selectors = c->n_selectors;
            v.place = c->place;
            v.local = sa->local;
            v.remote = sa->remote;
            v.remote_port = sa->remote_port;
            v.encapsulated = sa->nat_local || sa->nat_remote;
            v.outbound = c->outbound;
            v.lost = c->lost;
            v.current = !c->replaced && !c->deleting && !c->lost;
            v.created_ns = c->created_ns;
            v.soft_ns = c->soft_ns;
            v.hard_ns = c->hard_ns;
            more = visit(&v, data);
        }
    }
    g_list_free(all);
}

bool ike_spi_in_use(const struct ike *ike, uint32_t spi)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        if ((sa->mine.active && sa->mine.spi_in == spi) ||
            (sa->theirs.active && sa->theirs.spi_in == spi) || ike_child_by_in(sa, spi)) {
            return true;
        }
    }
    return false;
}
