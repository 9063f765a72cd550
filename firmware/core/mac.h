/*
 * mac - the address plan of virtual ports.
 *
 * 02:5c:NN:SS:PP:TT: locally administered, NN the low byte of the FNV-1a hash
 * of the node name, SS FPC slot, PP PIC, TT port. The card and the Routing
 * Engine derive the same address without telling each other. Pure; any thread.
 */
#ifndef FW_MAC_H
#define FW_MAC_H

#include <stdint.h>

#define FW_MAC_BYTES 6

static inline void fw_mac_port(const char *node, uint8_t slot, uint8_t pic, uint8_t port,
                               uint8_t ret_mac[FW_MAC_BYTES])
{
    uint32_t hash = 2166136261u; /* FNV-1a, 32 bits */

    for (const char *p = node; *p; p++) {
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    }
    ret_mac[0] = 0x02;
    ret_mac[1] = 0x5c;
    ret_mac[2] = (uint8_t)hash;
    ret_mac[3] = slot;
    ret_mac[4] = pic;
    ret_mac[5] = port;
}

#endif
