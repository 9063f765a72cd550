/*
 * member - ifd's membership in the fabric: the Routing Engine's endpoint.
 *
 * Speaks on fd 4, which the supervisor connects through to hwd: makes the
 * outbox when told what the endpoint is (board-start), announces it, attaches
 * and detaches peers as told and reports. Main-loop thread only.
 */
#ifndef RE_MEMBER_H
#define RE_MEMBER_H

#include <stdbool.h>

#include "firmware/fabric/fabric.h"

struct member;

/* ready: the fabric exists now (once). fd is taken. */
struct member *member_new(int fd, void (*ready)(struct fabric *fabric, void *data), void *data);
/* After the lane's thread has ended. */
void member_free(struct member *member);

#endif
