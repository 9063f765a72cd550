/*
 * rules - which payloads a message may and must hold (RFC 7296 sections 1.2 to 1.4, appendix C).
 *
 * A row: exchange, response, inside SK, payload, least, most. A payload that
 * has no row in its message is a violation; unknown payload types never get
 * here.
 */
#include "re/ike/message.h"

#define MANY IKE_PAYLOADS_MAX

static const struct rule {
    uint8_t exchange;
    bool response;
    bool sealed;
    uint8_t payload;
    uint8_t least;
    uint8_t most;
} rules[] = {
    {IKE_SA_INIT, false, false, IKE_P_SA, 1, 1},
    {IKE_SA_INIT, false, false, IKE_P_KE, 1, 1},
    {IKE_SA_INIT, false, false, IKE_P_NONCE, 1, 1},
    {IKE_SA_INIT, false, false, IKE_P_NOTIFY, 0, MANY},
    {IKE_SA_INIT, false, false, IKE_P_VENDOR, 0, MANY},

    {IKE_SA_INIT, true, false, IKE_P_SA, 1, 1},
    {IKE_SA_INIT, true, false, IKE_P_KE, 1, 1},
    {IKE_SA_INIT, true, false, IKE_P_NONCE, 1, 1},
    {IKE_SA_INIT, true, false, IKE_P_CERTREQ, 0, MANY},
    {IKE_SA_INIT, true, false, IKE_P_NOTIFY, 0, MANY},
    {IKE_SA_INIT, true, false, IKE_P_VENDOR, 0, MANY},

    {IKE_AUTH, false, true, IKE_P_IDI, 1, 1},
    {IKE_AUTH, false, true, IKE_P_IDR, 0, 1},
    {IKE_AUTH, false, true, IKE_P_AUTH, 1, 1}, /* none would ask for EAP */
    {IKE_AUTH, false, true, IKE_P_SA, 1, 1},
    {IKE_AUTH, false, true, IKE_P_TSI, 1, 1},
    {IKE_AUTH, false, true, IKE_P_TSR, 1, 1},
    {IKE_AUTH, false, true, IKE_P_CERT, 0, MANY},
    {IKE_AUTH, false, true, IKE_P_CERTREQ, 0, MANY},
    {IKE_AUTH, false, true, IKE_P_CP, 0, 1},
    {IKE_AUTH, false, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_AUTH, false, true, IKE_P_VENDOR, 0, MANY},

    {IKE_AUTH, true, true, IKE_P_IDR, 1, 1},
    {IKE_AUTH, true, true, IKE_P_AUTH, 1, 1},
    {IKE_AUTH, true, true, IKE_P_SA, 0, 1}, /* none: the CHILD SA was refused by a notification */
    {IKE_AUTH, true, true, IKE_P_TSI, 0, 1},
    {IKE_AUTH, true, true, IKE_P_TSR, 0, 1},
    {IKE_AUTH, true, true, IKE_P_CERT, 0, MANY},
    {IKE_AUTH, true, true, IKE_P_CP, 0, 1},
    {IKE_AUTH, true, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_AUTH, true, true, IKE_P_VENDOR, 0, MANY},

    {IKE_CREATE_CHILD_SA, false, true, IKE_P_SA, 1, 1},
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_NONCE, 1, 1},
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_KE, 0, 1},
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_TSI, 0, 1}, /* none: an IKE SA is rekeyed */
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_TSR, 0, 1},
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_CREATE_CHILD_SA, false, true, IKE_P_VENDOR, 0, MANY},

    {IKE_CREATE_CHILD_SA, true, true, IKE_P_SA, 1, 1},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_NONCE, 1, 1},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_KE, 0, 1},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_TSI, 0, 1},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_TSR, 0, 1},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_CREATE_CHILD_SA, true, true, IKE_P_VENDOR, 0, MANY},

    {IKE_INFORMATIONAL, false, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_INFORMATIONAL, false, true, IKE_P_DELETE, 0, MANY},
    {IKE_INFORMATIONAL, false, true, IKE_P_CP, 0, 1},
    {IKE_INFORMATIONAL, false, true, IKE_P_VENDOR, 0, MANY},

    {IKE_INFORMATIONAL, true, true, IKE_P_NOTIFY, 0, MANY},
    {IKE_INFORMATIONAL, true, true, IKE_P_DELETE, 0, MANY},
    {IKE_INFORMATIONAL, true, true, IKE_P_CP, 0, 1},
    {IKE_INFORMATIONAL, true, true, IKE_P_VENDOR, 0, MANY},
};

/* A cookie request and an INVALID_KE_PAYLOAD are answers without the mandatory payloads too. */
static bool excused(bool response, const struct ike_payloads *ps)
{
    struct ike_notification n;

    return response && (ike_notify_error(ps, &n) || ike_notify_find(ps, IKE_N_COOKIE, &n));
}

enum ike_verdict ike_rules_check(uint8_t exchange, bool response, bool sealed,
                                 const struct ike_payloads *ps)
{
    unsigned allowed = 0;
    bool lenient = excused(response, ps);
    bool any = false;

    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        const struct rule *r = &rules[i];
        unsigned n = 0;

        if (r->exchange != exchange || r->response != response || r->sealed != sealed) {
            continue;
        }
        any = true;
        for (unsigned p = 0; p < ps->n; p++) {
            n += ps->p[p].type == r->payload;
        }
        if (n > r->most || (n < r->least && !lenient)) {
            return IKE_VERDICT_SYNTAX;
        }
        allowed += n;
    }
    return any && allowed == ps->n ? IKE_VERDICT_OK : IKE_VERDICT_SYNTAX;
}
