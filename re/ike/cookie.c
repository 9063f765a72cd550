/*
 * cookie - stateless cookies against half-open floods (RFC 7296 section 2.6).
 *
 * Cookie = 4 bytes of zero and age | HMAC-SHA-256(secret, nonce, address, port, SPI).
 * The secret changes every minute and the one before stays good.
 */
#include "re/ike/internal.h"

static void refresh(struct ike *ike)
{
    if (ike->cookie_made && ike->now_ns - ike->cookie_made_ns < IKE_COOKIE_NS) {
        return;
    }
    memcpy(ike->cookie_secret[1], ike->cookie_secret[0], 32);
    ike_random(ike, ike->cookie_secret[0], 32);
    if (!ike->cookie_made) {
        ike_random(ike, ike->cookie_secret[1], 32);
    }
    ike->cookie_made = true;
    ike->cookie_made_ns = ike->now_ns;
}

void ike_cookie_make(struct ike *ike, const struct ike_datagram *d, uint64_t spi_i,
                     const struct ike_payload *nonce, unsigned age, uint8_t ret[36])
{
    uint8_t tail[10];
    struct fw_emit e = fw_emit(tail, sizeof tail);
    struct fw_bytes pieces[3] = {{nonce->body, nonce->len},
                                 {d->remote.bytes, fw_addr_size(&d->remote)},
                                 {tail, sizeof tail}};

    refresh(ike);
    fw_emit_u64(&e, spi_i);
    fw_emit_u16(&e, d->remote_port);
    memset(ret, 0, 36);
    ret[3] = (uint8_t)age;
    if (!fw_prf_compute(FW_PRF_SHA256, ike->cookie_secret[age & 1], 32, pieces, 3, ret + 4)) {
        ike_random(ike, ret + 4, 32);
    }
}

bool ike_cookie_good(struct ike *ike, const struct ike_datagram *d, uint64_t spi_i,
                     const struct ike_payload *nonce, const struct ike_notification *n)
{
    uint8_t expected[36];

    if (n->n_data != 36) {
        return false;
    }
    for (unsigned age = 0; age < 2; age++) {
        ike_cookie_make(ike, d, spi_i, nonce, age, expected);
        if (fw_equal_ct(expected + 4, n->data + 4, 32)) {
            return true;
        }
    }
    return false;
}
