/* netlink_neighbour - the reader of the kernel's neighbour messages must survive any bytes. */
#include <stdlib.h>

#include "re/ifd/netlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seen(int index, const struct fw_addr *address, const uint8_t mac[6], bool gone,
                 void *data)
{
    unsigned *sum = data;

    *sum += (unsigned)index + address->family + mac[5] + gone;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned sum = 0;

    netlink_parse(data, size, seen, &sum);
    return 0;
}
