/* secret - see secret.h. */
#include "firmware/core/secret.h"

#include <string.h>

void fw_wipe(void *data, size_t n)
{
    if (n) {
        explicit_bzero(data, n);
    }
}

struct fw_secret *fw_secret_new(const void *data, size_t len)
{
    struct fw_secret *secret = g_malloc0(sizeof *secret + len);

    secret->len = len;
    if (data && len) {
        memcpy(secret->data, data, len);
    }
    return secret;
}

void fw_secret_free(struct fw_secret *secret)
{
    if (secret) {
        fw_wipe(secret->data, secret->len);
        g_free(secret);
    }
}

bool fw_equal_ct(const void *a, const void *b, size_t n)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t difference = 0;

    for (size_t i = 0; i < n; i++) {
        difference |= x[i] ^ y[i];
    }
    return difference == 0;
}
