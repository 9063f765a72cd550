/*
 * exchange-info - INFORMATIONAL: deletes, liveness, and whatever else only needs an empty answer
 * (RFC 7296 sections 1.4, 2.4).
 */
#include "re/ike/internal.h"

/* ---- our request ---- */

void ike_info_begin(struct ike_sa *sa)
{
    uint8_t buffer[64];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);

    if (sa->out.kind == IKE_TASK_CHILD_DELETE) {
        struct ike_child *c = ike_child_by_in(sa, sa->out.spi_in);

        if (!c) { /* the peer was faster */
            ike_task_done(sa);
            return;
        }
        ike_delete_esp_emit(&b, &c->spi_in, 1);
    } else if (sa->out.kind == IKE_TASK_IKE_DELETE) {
        ike_delete_ike_emit(&b);
    }
    ike_task_send(sa, IKE_INFORMATIONAL, &b);
}

enum ike_verdict ike_info_response(struct ike_sa *sa, const struct ike_payloads *ps)
{
    enum ike_task_kind kind = sa->out.kind;
    enum ike_reason reason = sa->out.reason;
    struct ike_child *c =
        kind == IKE_TASK_CHILD_DELETE ? ike_child_by_in(sa, sa->out.spi_in) : NULL;

    (void)ps; /* the peer's Delete names the other half of the pair, which goes with it anyway */
    ike_task_done(sa);
    if (kind == IKE_TASK_IKE_DELETE) {
        ike_sa_kill(sa, reason);
        return IKE_VERDICT_OK;
    }
    if (c) {
        ike_child_drop(sa, c, reason);
    }
    ike_sa_record(sa);
    ike_task_run(sa);
    return IKE_VERDICT_OK;
}

/* ---- the peer's request ---- */

/*
 * After the peer has taken one of several pairs away, somebody must carry the tunnel: the one that
 * waits for its outbound SA, or one that we believed to be redundant.
 */
static void promote(struct ike_sa *sa, uint32_t tunnel)
{
    struct ike_child *c = ike_child_of_tunnel(sa, tunnel);

    for (unsigned i = sa->children->len; !c && i-- > 0;) {
        struct ike_child *o = sa->children->pdata[i];

        if (o->tunnel == tunnel && !o->deleting && !o->lost) {
            o->replaced = false;
            c = o;
        }
    }
    if (c && !c->outbound) {
        ike_child_install_outbound(sa, c);
    }
}

/* One SPI of a Delete; our half goes into the answer unless our own Delete is under way. */
static void delete_child(struct ike_sa *sa, uint32_t spi, uint32_t *ret_spis, unsigned *ret_n)
{
    struct ike_child *c = ike_child_by_out(sa, spi);
    uint32_t tunnel;

    if (!c) {
        return;
    }
    tunnel = c->tunnel;
    if (!c->deleting) {
        ret_spis[(*ret_n)++] = c->spi_in;
    }
    if (c->rival || c->replaced) {
        c->replaced = true;
        struct ike_child *next = c->rival ? ike_child_by_in(sa, c->rival) : NULL;

        if (next && !next->replaced) {
            ike_child_install_outbound(sa, next);
        }
    }
    ike_child_drop(sa, c, IKE_REASON_PEER_DELETED);
    promote(sa, tunnel);
}

enum ike_verdict ike_info_request(struct ike_sa *sa, const struct ike_payloads *ps)
{
    uint8_t buffer[IKE_SPIS_MAX * 4 + 64];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);
    uint32_t answer[IKE_SPIS_MAX];
    unsigned n_answer = 0;
    bool all = false;

    for (unsigned i = 0; i < ps->n; i++) { /* look before acting: all or nothing */
        uint32_t spis[IKE_SPIS_MAX];
        struct ike_notification note;
        uint8_t protocol;
        unsigned n;
        struct fw_cursor c = fw_cursor(ps->p[i].body, ps->p[i].len);

        if (ps->p[i].type == IKE_P_DELETE && !ike_delete_parse(c, &protocol, spis, &n)) {
            return IKE_VERDICT_SYNTAX;
        }
        if (ps->p[i].type == IKE_P_NOTIFY && !ike_notify_parse(c, &note)) {
            return IKE_VERDICT_SYNTAX;
        }
    }
    for (unsigned i = 0; i < ps->n; i++) {
        uint32_t spis[IKE_SPIS_MAX];
        uint8_t protocol;
        unsigned n;

        if (ps->p[i].type != IKE_P_DELETE ||
            !ike_delete_parse(fw_cursor(ps->p[i].body, ps->p[i].len), &protocol, spis, &n)) {
            continue;
        }
        all = all || protocol == IKE_PROTO_IKE;
        for (unsigned k = 0; protocol == IKE_PROTO_ESP && k < n && n_answer < IKE_SPIS_MAX; k++) {
            delete_child(sa, spis[k], answer, &n_answer);
        }
    }
    if (n_answer && !all) {
        ike_delete_esp_emit(&b, answer, n_answer);
    }
    ike_answer(sa, IKE_INFORMATIONAL, &b);
    if (all) {
        ike_sa_kill(sa, IKE_REASON_PEER_DELETED);
    } else {
        ike_task_run(sa);
    }
    return IKE_VERDICT_OK;
}
