/*
 * packet - IPv4 packets for tests of the services card.
 */
#ifndef TEST_SPC_PACKET_H
#define TEST_SPC_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "spc/flow/view.h"

/* An IPv4 packet of `bytes` in ret with correct checksums; ports are type/code and id for ICMP. */
uint32_t packet_make(uint8_t *ret, const char *source, const char *destination, uint8_t protocol,
                     uint16_t source_port, uint16_t destination_port, uint32_t bytes);
void packet_df(uint8_t *packet);
/* Header checksum and, of unfragmented TCP and UDP, the transport checksum are right. */
bool packet_sound(const uint8_t *packet, uint32_t bytes);
struct fw_addr addr(const char *text);

#endif
