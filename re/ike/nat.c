/*
 * nat - NAT detection (RFC 7296 section 2.23): SHA-1 over SPIs, address and port of each end.
 *
 * A peer that sends several source hashes is behind no NAT when any of them matches.
 */
#include "re/ike/internal.h"

static void hash(uint64_t spi_i, uint64_t spi_r, const struct fw_addr *addr, uint16_t port,
                 uint8_t ret[20])
{
    uint8_t head[16], tail[2];
    struct fw_emit e = fw_emit(head, sizeof head);
    struct fw_bytes pieces[3] = {
        {head, sizeof head}, {addr->bytes, fw_addr_size(addr)}, {tail, sizeof tail}};

    fw_emit_u64(&e, spi_i);
    fw_emit_u64(&e, spi_r);
    e = fw_emit(tail, sizeof tail);
    fw_emit_u16(&e, port);
    if (!fw_sha1(pieces, 3, ret)) {
        memset(ret, 0, 20);
    }
}

void ike_nat_emit(const struct ike_sa *sa, struct ike_builder *b)
{
    uint8_t h[20];

    hash(sa->spi_i, sa->spi_r, &sa->local, sa->local_port, h);
    ike_notify_emit(b, IKE_N_NAT_DETECTION_SOURCE_IP, h, sizeof h);
    hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, h);
    ike_notify_emit(b, IKE_N_NAT_DETECTION_DESTINATION_IP, h, sizeof h);
}

void ike_nat_detect(struct ike_sa *sa, const struct ike_header *h, const struct ike_payloads *ps,
                    const struct ike_datagram *d)
{
    uint8_t source[20], destination[20];
    bool any_source = false, source_match = false;
    bool any_destination = false, destination_match = false;

    hash(h->spi_i, h->spi_r, &d->remote, d->remote_port, source);
    hash(h->spi_i, h->spi_r, &d->local, d->local_port, destination);
    for (unsigned i = 0; i < ps->n; i++) {
        struct ike_notification n;

        if (ps->p[i].type != IKE_P_NOTIFY ||
            !ike_notify_parse(fw_cursor(ps->p[i].body, ps->p[i].len), &n) || n.n_data != 20) {
            continue;
        }
        if (n.type == IKE_N_NAT_DETECTION_SOURCE_IP) {
            any_source = true;
            source_match = source_match || memcmp(n.data, source, 20) == 0;
        } else if (n.type == IKE_N_NAT_DETECTION_DESTINATION_IP) {
            any_destination = true;
            destination_match = destination_match || memcmp(n.data, destination, 20) == 0;
        }
    }
    sa->nat_remote = any_source && !source_match;
    sa->nat_local = any_destination && !destination_match;
}
