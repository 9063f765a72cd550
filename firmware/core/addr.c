/* addr - see addr.h. */
#include "firmware/core/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fw_addr fw_addr_v4(uint32_t host_order)
{
    struct fw_addr a = {FW_FAMILY_V4, {0}};
    uint32_t net = htonl(host_order);

    memcpy(a.bytes, &net, 4);
    return a;
}

uint32_t fw_addr_to_v4(const struct fw_addr *a)
{
    uint32_t net;

    if (a->family != FW_FAMILY_V4) {
        return 0;
    }
    memcpy(&net, a->bytes, 4);
    return ntohl(net);
}

bool fw_addr_equal(const struct fw_addr *a, const struct fw_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, fw_addr_size(a)) == 0;
}

bool fw_addr_parse(const char *text, struct fw_addr *ret)
{
    struct fw_addr a = {0};

    if (inet_pton(AF_INET, text, a.bytes) == 1) {
        a.family = FW_FAMILY_V4;
    } else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
        a.family = FW_FAMILY_V6;
    } else {
        return false;
    }
    *ret = a;
    return true;
}

bool fw_prefix_parse(const char *text, struct fw_prefix *ret)
{
    char copy[FW_ADDR_TEXT];
    struct fw_prefix p = {0};
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    unsigned long bits;
    char *rest;

    if (n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, n);
    copy[n] = 0;
    if (!fw_addr_parse(copy, &p.addr)) {
        return false;
    }
    bits = fw_addr_size(&p.addr) * 8;
    if (slash) {
        if (slash[1] < '0' || slash[1] > '9') {
            return false;
        }
        unsigned long asked = strtoul(slash + 1, &rest, 10);
        if (*rest || asked > bits) {
            return false;
        }
        bits = asked;
    }
    p.len = (uint8_t)bits;
    *ret = p;
    return true;
}

char *fw_addr_text(const struct fw_addr *a, char *buffer)
{
    if (a->family == FW_FAMILY_NONE ||
        !inet_ntop(a->family == FW_FAMILY_V4 ? AF_INET : AF_INET6, a->bytes, buffer,
                   FW_ADDR_TEXT)) {
        snprintf(buffer, FW_ADDR_TEXT, "-");
    }
    return buffer;
}

char *fw_prefix_text(const struct fw_prefix *p, char *buffer)
{
    size_t n;

    fw_addr_text(&p->addr, buffer);
    n = strlen(buffer);
    if (p->addr.family != FW_FAMILY_NONE) {
        snprintf(buffer + n, FW_ADDR_TEXT - n, "/%u", p->len);
    }
    return buffer;
}

bool fw_prefix_contains(const struct fw_prefix *p, const struct fw_addr *a)
{
    unsigned whole = p->len / 8;
    unsigned rest = p->len % 8;

    if (p->addr.family != a->family) {
        return false;
    }
    if (memcmp(p->addr.bytes, a->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((p->addr.bytes[whole] ^ a->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

struct fw_prefix fw_prefix_network(const struct fw_prefix *p)
{
    struct fw_prefix n = *p;

    for (unsigned bit = p->len; bit < fw_addr_size(&p->addr) * 8; bit++) {
        n.addr.bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
    }
    return n;
}

socklen_t fw_addr_to_sockaddr(const struct fw_addr *a, uint16_t port, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->family == FW_FAMILY_V6) {
        struct sockaddr_in6 *s = (struct sockaddr_in6 *)ret;

        s->sin6_family = AF_INET6;
        s->sin6_port = htons(port);
        memcpy(&s->sin6_addr, a->bytes, 16);
        return sizeof *s;
    }
    struct sockaddr_in *s = (struct sockaddr_in *)ret;

    s->sin_family = AF_INET;
    s->sin_port = htons(port);
    memcpy(&s->sin_addr, a->bytes, 4);
    return sizeof *s;
}

bool fw_addr_from_sockaddr(const struct sockaddr_storage *s, struct fw_addr *ret,
                           uint16_t *ret_port)
{
    struct fw_addr a = {0};

    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)s;

        a.family = FW_FAMILY_V4;
        memcpy(a.bytes, &in->sin_addr, 4);
        *ret_port = ntohs(in->sin_port);
    } else if (s->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)s;

        a.family = FW_FAMILY_V6;
        memcpy(a.bytes, &in->sin6_addr, 16);
        *ret_port = ntohs(in->sin6_port);
    } else {
        return false;
    }
    *ret = a;
    return true;
}
