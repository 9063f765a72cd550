/* send - sealing messages and handing datagrams out. */
#include "re/ike/internal.h"

#include <string.h>

static void push(struct ike_sa *sa, const struct fw_addr *local, uint16_t local_port,
                 const struct fw_addr *remote, uint16_t remote_port, bool natt,
                 const uint8_t *bytes, size_t n)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_SEND);

    a->sa_index = sa->index;
    a->local = *local;
    a->local_port = local_port;
    a->remote = *remote;
    a->remote_port = remote_port;
    a->natt = natt;
    a->bytes = g_memdup2(bytes, n);
    a->n_bytes = n;
    sa->sent_ns = sa->ike->now_ns;
    sa->out_bytes_total += n;
    sa->out_packets++;
}

void ike_send(struct ike_sa *sa, const uint8_t *bytes, size_t n)
{
    push(sa, &sa->local, sa->local_port, &sa->remote, sa->remote_port, sa->natt, bytes, n);
}

struct ike_sk_key ike_sk_key_of(const struct ike_sa *sa, bool from_initiator)
{
    return (struct ike_sk_key){sa->suite.enc, sa->suite.integ,
                               from_initiator ? sa->keys.ei : sa->keys.er,
                               from_initiator ? sa->keys.ai : sa->keys.ar};
}

/*
 * An AEAD IV must never repeat under a key. It counts up from a random 64-bit start that is drawn
 * anew in every life of the process (also after a record was read), never stored: two lives meet
 * with a probability of about messages / 2^63. A CBC IV is random each time.
 */
static void draw_iv(struct ike_sa *sa, uint8_t iv[16])
{
    struct fw_emit e = fw_emit(iv, 16);

    if (!fw_enc_row(sa->suite.enc)->aead) {
        ike_random(sa->ike, iv, 16);
        return;
    }
    if (!sa->iv_started) {
        ike_random(sa->ike, &sa->iv_next, sizeof sa->iv_next);
        sa->iv_started = true;
    }
    fw_emit_u64(&e, sa->iv_next++);
}

GByteArray *ike_seal(struct ike_sa *sa, uint8_t exchange, bool response, uint32_t id,
                     struct ike_builder *chain)
{
    struct ike_sk_key key = ike_sk_key_of(sa, sa->initiator);
    struct ike_header h = {0};
    uint8_t iv[16];
    uint8_t message[IKE_DATAGRAM_MAX];
    size_t n;

    h.spi_i = sa->spi_i;
    h.spi_r = sa->spi_r;
    h.exchange = exchange;
    h.flags = (sa->initiator ? IKE_FLAG_INITIATOR : 0) | (response ? IKE_FLAG_RESPONSE : 0);
    h.message_id = id;
    draw_iv(sa, iv);
    n = chain->e.failed ? 0
                        : ike_sk_seal(&key, &h, chain->first, chain->e.start,
                                      fw_emit_len(&chain->e), iv, message, sizeof message);
    g_assert(n > 0); /* our own messages fit by their limits */
    GByteArray *ret = g_byte_array_sized_new((guint)n);
    g_byte_array_append(ret, message, (guint)n);
    return ret;
}

void ike_answer(struct ike_sa *sa, uint8_t exchange, struct ike_builder *chain)
{
    GByteArray *message = ike_seal(sa, exchange, true, sa->in_id, chain);

    g_clear_pointer(&sa->in_response, g_byte_array_unref);
    sa->in_response = message;
    sa->in_id++;
    sa->in_busy = false;
    ike_sa_record(sa);
    push(sa, &sa->in_to, sa->in_to_port, &sa->in_from, sa->in_from_port, sa->in_natt, message->data,
         message->len);
}

void ike_answer_notify(struct ike_sa *sa, uint8_t exchange, uint16_t type, const void *data,
                       size_t n)
{
    uint8_t buffer[256];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);

    ike_notify_emit(&b, type, data, n);
    ike_answer(sa, exchange, &b);
}
