/*
 * addr - an IPv4 or IPv6 address, or none, and prefixes.
 *
 * Plain values, zero-initialised = no address; unused bytes are zero so that
 * values compare with memcmp. Any thread.
 */
#ifndef FW_ADDR_H
#define FW_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum fw_family { FW_FAMILY_NONE = 0, FW_FAMILY_V4 = 4, FW_FAMILY_V6 = 6 };

#define FW_ADDR_TEXT 48 /* longest text form of an address or prefix, with the final 0 */

struct fw_addr {
    uint8_t family; /* enum fw_family */
    uint8_t bytes[16];
};

struct fw_prefix {
    struct fw_addr addr;
    uint8_t len; /* bits */
};

static inline size_t fw_addr_size(const struct fw_addr *a)
{
    return a->family == FW_FAMILY_V4 ? 4 : a->family == FW_FAMILY_V6 ? 16 : 0;
}

struct fw_addr fw_addr_v4(uint32_t host_order);
/* The IPv4 value in host order; 0 when it is no IPv4 address. */
uint32_t fw_addr_to_v4(const struct fw_addr *a);
bool fw_addr_equal(const struct fw_addr *a, const struct fw_addr *b);
/* "192.0.2.1", "fd00::1"; false and ret untouched when the text is none. */
bool fw_addr_parse(const char *text, struct fw_addr *ret);
/* "192.0.2.0/24"; without a slash the full length. */
bool fw_prefix_parse(const char *text, struct fw_prefix *ret);
/* Text into buffer of FW_ADDR_TEXT bytes; returns buffer. "-" for none. */
char *fw_addr_text(const struct fw_addr *a, char *buffer);
char *fw_prefix_text(const struct fw_prefix *p, char *buffer);
bool fw_prefix_contains(const struct fw_prefix *p, const struct fw_addr *a);
/* The prefix with its host bits cleared. */
struct fw_prefix fw_prefix_network(const struct fw_prefix *p);
/* To and from socket addresses; port in host order. */
socklen_t fw_addr_to_sockaddr(const struct fw_addr *a, uint16_t port, struct sockaddr_storage *ret);
bool fw_addr_from_sockaddr(const struct sockaddr_storage *s, struct fw_addr *ret,
                           uint16_t *ret_port);

#endif
