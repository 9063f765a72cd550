/*
 * counter - every reason for which a flow thread drops or counts a packet, once.
 *
 * The text is the name in messages (statistics) and in docs/reference. A flow
 * thread writes its own counters with relaxed stores; the main thread reads and
 * adds them up. FLOW_OK is no counter: it means "go on".
 */
#ifndef FLOW_COUNTER_H
#define FLOW_COUNTER_H

#include <stdint.h>

#define FLOW_COUNTERS(X)                                                                           \
    X(OK, "none")                                                                                  \
    /* ESP, with the words of "show security ipsec statistics" */                                  \
    X(ESP_OUT_BYTES, "esp-encrypted-bytes")                                                        \
    X(ESP_IN_BYTES, "esp-decrypted-bytes")                                                         \
    X(ESP_OUT_PACKETS, "esp-encrypted-packets")                                                    \
    X(ESP_IN_PACKETS, "esp-decrypted-packets")                                                     \
    X(REPLAY, "replay-errors")                                                                     \
    X(AUTH_FAILED, "esp-authentication-failures")                                                  \
    X(DECRYPT_FAILED, "esp-decryption-failures")                                                   \
    X(BAD_HEADER, "bad-headers")                                                                   \
    X(BAD_TRAILER, "bad-trailers")                                                                 \
    X(INVALID_SPI, "invalid-spi-errors")                                                           \
    X(TS_CHECK, "ts-check-fail-errors")                                                            \
    X(TUNNEL_MTU, "exceeds-tunnel-mtu")                                                            \
    X(DISCARD, "discard-errors")                                                                   \
    X(ESP_FRAGMENT, "esp-fragment")                                                                \
    X(ESP_DUMMY, "esp-dummy-packets")                                                              \
    X(ESP_ECN, "esp-ecn-congestion-lost")                                                          \
    X(ESP_LARVAL_FULL, "esp-larval-sa-full")                                                       \
    X(ESP_LARVAL_HELD, "esp-larval-sa-held")                                                       \
    X(ESP_ENCAPSULATION, "esp-encapsulation-mismatch")                                             \
    X(NO_OUTBOUND_SA, "no-outbound-sa")                                                            \
    X(SEQUENCE_END, "sequence-exhausted")                                                          \
    X(ESP_NO_ROUTE, "esp-no-outer-route")                                                          \
    /* flow */                                                                                     \
    X(FORWARDED, "forwarded-packets")                                                              \
    X(TO_HOST, "host-inbound-packets")                                                             \
    X(HOST_DENIED, "host-inbound-denied")                                                          \
    X(HOST_DENIED_IKE, "host-inbound-denied-ike")                                                  \
    X(SESSION_CREATED, "sessions-created")                                                         \
    X(SESSION_ENDED, "sessions-ended")                                                             \
    X(SESSION_INVALID, "sessions-invalidated")                                                     \
    X(SESSION_FULL, "session-table-full")                                                          \
    X(CP_FULL, "cp-session-table-full")                                                            \
    X(CP_FIRST, "cp-first-packets")                                                                \
    X(CP_KNOWN, "cp-known-sessions")                                                               \
    X(NO_FLOW_THREAD, "no-flow-thread")                                                            \
    X(NOT_CENTRAL_POINT, "not-central-point")                                                      \
    X(NO_CENTRAL_POINT, "no-central-point")                                                        \
    X(DEFAULT_DENY, "policy-default-deny")                                                         \
    X(POLICY_DENY, "policy-deny")                                                                  \
    X(POLICY_REJECT, "policy-reject")                                                              \
    X(NO_ZONE, "interface-without-zone")                                                           \
    X(NO_INTERFACE, "no-logical-interface")                                                        \
    X(INTERFACE_DOWN, "interface-down")                                                            \
    X(CARD_OFFLINE, "egress-card-offline")                                                         \
    X(NO_ROUTE, "no-route")                                                                        \
    X(ROUTE_DISCARD, "route-discard")                                                              \
    X(NO_TUNNEL, "no-tunnel-at-interface")                                                         \
    X(NO_ANCHOR, "tunnel-without-anchor")                                                          \
    X(TTL, "ttl-exceeded")                                                                         \
    X(MTU, "exceeds-mtu")                                                                          \
    X(FRAGMENTED, "fragmented-packets")                                                            \
    X(GSO_SPLIT, "segmented-packets")                                                              \
    X(GSO_MALFORMED, "segmentation-malformed")                                                     \
    X(NEIGHBOUR_HELD, "neighbour-held-packets")                                                    \
    X(NEIGHBOUR_FULL, "neighbour-hold-full")                                                       \
    X(NEIGHBOUR_TIMEOUT, "neighbour-unresolved")                                                   \
    X(ICMP_SENT, "icmp-errors-sent")                                                               \
    X(ICMP_LIMITED, "icmp-errors-limited")                                                         \
    X(IP_MALFORMED, "ip-header-malformed")                                                         \
    X(IP6_EXTENSION, "ip6-extension-headers")                                                      \
    X(L4_SHORT, "l4-header-short")                                                                 \
    X(NO_BUFFER, "no-buffer")                                                                      \
    X(WRONG_THREAD, "wrong-thread")                                                                \
    X(CELL_UNEXPECTED, "cell-unexpected")

enum flow_counter {
#define X(name, text) FLOW_##name,
    FLOW_COUNTERS(X)
#undef X
    FLOW_COUNTERS_N
};

extern const char *const flow_counter_names[FLOW_COUNTERS_N];

static inline void flow_count(uint64_t *counters, enum flow_counter which, uint64_t n)
{
    __atomic_store_n(&counters[which], counters[which] + n, __ATOMIC_RELAXED);
}

#endif
