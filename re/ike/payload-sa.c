/*
 * payload-sa - Security Association payload: proposals and transforms (RFC 7296 section 3.3).
 *
 *   proposal:  last(1) 0(1) length(2) number(1) protocol(1) SPI size(1) transforms(1) SPI ...
 *   transform: last(1) 0(1) length(2) type(1) 0(1) id(2) attributes ...
 *   attribute: AF|type(2) value(2), or type(2) length(2) value
 *
 * A proposal with an unknown kind of transform is not acceptable, a transform with an unknown
 * attribute is left out (section 3.3.6). AEAD ciphers go with no integrity transform or NONE.
 */
#include "re/ike/message.h"

#define TRANSFORMS_MAX 96 /* of one proposal; strongSwan's default has about 40 */
#define PROPOSALS_MAX  32

enum transform { T_ENCR = 1, T_PRF = 2, T_INTEG = 3, T_GROUP = 4, T_ESN = 5 };
#define T_KINDS         6
#define ATTR_KEY_LENGTH 14

struct proposal {
    uint8_t number;
    uint8_t protocol;
    uint64_t spi;
    size_t spi_len;
    bool unknown; /* holds a kind of transform that we do not know */
    unsigned n;
    struct {
        uint8_t type;
        uint16_t id;
        uint16_t key_bits;
    } t[TRANSFORMS_MAX];
    unsigned count[T_KINDS];
};

static bool attributes_parse(struct fw_cursor c, uint16_t *ret_key_bits, bool *ret_known)
{
    *ret_key_bits = 0;
    *ret_known = true;
    while (fw_cursor_left(&c)) {
        uint16_t type = fw_cursor_u16(&c);
        uint16_t value = fw_cursor_u16(&c);

        if (!(type & 0x8000)) {
            fw_cursor_take(&c, value);
            *ret_known = false;
        } else if ((type & 0x7fff) == ATTR_KEY_LENGTH) {
            *ret_key_bits = value;
        } else {
            *ret_known = false;
        }
    }
    return !c.failed;
}

static bool transforms_parse(struct fw_cursor c, unsigned n, struct proposal *p)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t more = fw_cursor_u8(&c);
        uint16_t length, id, key_bits;
        uint8_t type;
        bool known;

        fw_cursor_u8(&c);
        length = fw_cursor_u16(&c);
        type = fw_cursor_u8(&c);
        fw_cursor_u8(&c);
        id = fw_cursor_u16(&c);
        if (c.failed || length < 8 || more != (i + 1 < n ? 3 : 0) ||
            !attributes_parse(fw_cursor_sub(&c, length - 8u), &key_bits, &known) || c.failed) {
            return false;
        }
        if (type < T_ENCR || type > T_ESN) {
            p->unknown = true;
        } else if (known) {
            if (p->n == TRANSFORMS_MAX) {
                return false;
            }
            p->t[p->n].type = type;
            p->t[p->n].id = id;
            p->t[p->n].key_bits = key_bits;
            p->n++;
            p->count[type]++;
        } else {
            p->count[type]++; /* offered, but nothing we could take */
        }
    }
    return fw_cursor_left(&c) == 0 && !c.failed;
}

/* 1: a proposal, 0: end, -1: malformed. */
static int proposal_next(struct fw_cursor *c, bool *more, struct proposal *ret)
{
    uint8_t last, n;
    uint16_t length;
    struct fw_cursor body;

    if (!*more) {
        return fw_cursor_left(c) == 0 && !c->failed ? 0 : -1;
    }
    memset(ret, 0, sizeof *ret);
    last = fw_cursor_u8(c);
    fw_cursor_u8(c);
    length = fw_cursor_u16(c);
    if (c->failed || length < 8 || (last != 0 && last != 2)) {
        return -1;
    }
    body = fw_cursor_sub(c, length - 4u);
    ret->number = fw_cursor_u8(&body);
    ret->protocol = fw_cursor_u8(&body);
    ret->spi_len = fw_cursor_u8(&body);
    n = fw_cursor_u8(&body);
    if (ret->spi_len == 8) {
        ret->spi = fw_cursor_u64(&body);
    } else if (ret->spi_len == 4) {
        ret->spi = fw_cursor_u32(&body);
    } else {
        fw_cursor_take(&body, ret->spi_len);
    }
    if (body.failed || n == 0 || !transforms_parse(body, n, ret)) {
        return -1;
    }
    *more = last == 2;
    return 1;
}

static bool has(const struct proposal *p, enum transform type, uint16_t id, uint16_t key_bits)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->t[i].type == type && p->t[i].id == id && p->t[i].key_bits == key_bits) {
            return true;
        }
    }
    return false;
}

/* The kind is not offered, or NONE may be taken. */
static bool none(const struct proposal *p, enum transform type)
{
    return p->count[type] == 0 || has(p, type, 0, 0);
}

static bool cipher_fits(const struct proposal *p, enum fw_enc enc, enum fw_integ integ)
{
    const struct fw_enc_row *e = fw_enc_row(enc);

    if (!has(p, T_ENCR, e->ike_id, e->key_bits)) {
        return false;
    }
    return e->aead ? none(p, T_INTEG) : has(p, T_INTEG, fw_integ_row(integ)->ike_id, 0);
}

static bool ike_fits(const struct proposal *p, const struct ike_suite *s)
{
    return p->count[T_ESN] == 0 && cipher_fits(p, s->enc, s->integ) &&
           has(p, T_PRF, fw_prf_row(s->prf)->ike_id, 0) && has(p, T_GROUP, s->group, 0);
}

static bool esp_fits(const struct proposal *p, const struct ike_esp_suite *s, bool with_group)
{
    if (p->count[T_PRF] || !cipher_fits(p, s->enc, s->integ)) {
        return false;
    }
    if (!(s->esn ? has(p, T_ESN, 1, 0) : none(p, T_ESN))) {
        return false;
    }
    return !with_group || (s->group ? has(p, T_GROUP, s->group, 0) : none(p, T_GROUP));
}

/* Both kinds walk the payload once per row of ours: ours is short, and our order decides. */
static enum ike_choose choose(struct fw_cursor c, uint8_t protocol, size_t spi_len,
                              const struct ike_suite *ike, const struct ike_esp_suite *esp,
                              unsigned n_ours, bool with_group, struct ike_choice *ret)
{
    struct proposal p;

    for (unsigned i = 0; i <= n_ours; i++) {
        struct fw_cursor at = c;
        bool more = true;
        unsigned seen = 0;
        int got;

        while ((got = proposal_next(&at, &more, &p)) == 1) {
            if (++seen > PROPOSALS_MAX) {
                return IKE_CHOOSE_SYNTAX;
            }
            if (i == n_ours || p.unknown || p.protocol != protocol || p.spi_len != spi_len) {
                continue;
            }
            if ((spi_len == 8 && p.spi == 0) || (spi_len == 4 && p.spi < 256)) {
                continue; /* reserved (RFC 4303 section 2.1) */
            }
            if (ike ? ike_fits(&p, &ike[i]) : esp_fits(&p, &esp[i], with_group)) {
                struct fw_cursor rest = at;
                struct proposal other;

                ret->number = p.number;
                ret->spi = p.spi;
                if (ike) {
                    ret->ike = ike[i];
                } else {
                    ret->esp = esp[i];
                }
                while ((got = proposal_next(&rest, &more, &other)) == 1) {
                    if (++seen > PROPOSALS_MAX) {
                        return IKE_CHOOSE_SYNTAX;
                    }
                }
                return got == 0 ? IKE_CHOOSE_OK : IKE_CHOOSE_SYNTAX;
            }
        }
        if (got < 0) {
            return IKE_CHOOSE_SYNTAX;
        }
    }
    return IKE_CHOOSE_NONE;
}

enum ike_choose ike_sa_choose(struct fw_cursor c, size_t spi_len, const struct ike_suite *ours,
                              unsigned n_ours, struct ike_choice *ret)
{
    return choose(c, IKE_PROTO_IKE, spi_len, ours, NULL, n_ours, true, ret);
}

enum ike_choose ike_esp_choose(struct fw_cursor c, const struct ike_esp_suite *ours,
                               unsigned n_ours, bool with_group, struct ike_choice *ret)
{
    return choose(c, IKE_PROTO_ESP, 4, NULL, ours, n_ours, with_group, ret);
}

bool ike_sa_is_answer(struct fw_cursor c)
{
    struct proposal p;
    bool more = true;

    if (proposal_next(&c, &more, &p) != 1 || more || fw_cursor_left(&c)) {
        return false;
    }
    for (int kind = T_ENCR; kind <= T_ESN; kind++) {
        if (p.count[kind] > 1) {
            return false;
        }
    }
    return !p.unknown;
}

static void transform_emit(struct fw_emit *e, bool last, enum transform type, uint16_t id,
                           uint16_t key_bits)
{
    fw_emit_u8(e, last ? 0 : 3);
    fw_emit_u8(e, 0);
    fw_emit_u16(e, key_bits ? 12 : 8);
    fw_emit_u8(e, (uint8_t)type);
    fw_emit_u8(e, 0);
    fw_emit_u16(e, id);
    if (key_bits) {
        fw_emit_u16(e, 0x8000 | ATTR_KEY_LENGTH);
        fw_emit_u16(e, key_bits);
    }
}

static size_t proposal_begin(struct fw_emit *e, bool last, uint8_t number, uint8_t protocol,
                             size_t spi_len, uint8_t transforms)
{
    size_t at = fw_emit_len(e);

    fw_emit_u8(e, last ? 0 : 2);
    fw_emit_u8(e, 0);
    fw_emit_u16(e, 0);
    fw_emit_u8(e, number);
    fw_emit_u8(e, protocol);
    fw_emit_u8(e, (uint8_t)spi_len);
    fw_emit_u8(e, transforms);
    return at;
}

static void proposal_end(struct fw_emit *e, size_t at)
{
    fw_emit_patch_u16(e, at + 2, (uint16_t)(fw_emit_len(e) - at));
}

void ike_sa_emit(struct ike_builder *b, const struct ike_suite *suites, unsigned n, uint8_t number,
                 uint64_t spi, size_t spi_len)
{
    struct fw_emit *e = &b->e;

    ike_payload_begin(b, IKE_P_SA);
    for (unsigned i = 0; i < n; i++) {
        const struct ike_suite *s = &suites[i];
        const struct fw_enc_row *enc = fw_enc_row(s->enc);
        size_t at = proposal_begin(e, i + 1 == n, (uint8_t)(number + i), IKE_PROTO_IKE, spi_len,
                                   enc->aead ? 3 : 4);

        if (spi_len) {
            fw_emit_u64(e, spi);
        }
        transform_emit(e, false, T_ENCR, enc->ike_id, enc->key_bits);
        if (!enc->aead) {
            transform_emit(e, false, T_INTEG, fw_integ_row(s->integ)->ike_id, 0);
        }
        transform_emit(e, false, T_PRF, fw_prf_row(s->prf)->ike_id, 0);
        transform_emit(e, true, T_GROUP, s->group, 0);
        proposal_end(e, at);
    }
    ike_payload_end(b);
}

void ike_esp_emit(struct ike_builder *b, const struct ike_esp_suite *suites, unsigned n,
                  uint8_t number, uint32_t spi, bool with_group)
{
    struct fw_emit *e = &b->e;

    ike_payload_begin(b, IKE_P_SA);
    for (unsigned i = 0; i < n; i++) {
        const struct ike_esp_suite *s = &suites[i];
        const struct fw_enc_row *enc = fw_enc_row(s->enc);
        bool group = with_group && s->group;
        size_t at = proposal_begin(e, i + 1 == n, (uint8_t)(number + i), IKE_PROTO_ESP, 4,
                                   (uint8_t)(2 + !enc->aead + group));

        fw_emit_u32(e, spi);
        transform_emit(e, false, T_ENCR, enc->ike_id, enc->key_bits);
        if (!enc->aead) {
            transform_emit(e, false, T_INTEG, fw_integ_row(s->integ)->ike_id, 0);
        }
        if (group) {
            transform_emit(e, false, T_GROUP, s->group, 0);
        }
        transform_emit(e, true, T_ESN, s->esn ? 1 : 0, 0);
        proposal_end(e, at);
    }
    ike_payload_end(b);
}
