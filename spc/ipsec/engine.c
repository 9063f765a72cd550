/* engine - the list of engines, the quickest first; see engine.h. */
#include "spc/ipsec/engine.h"

#include <string.h>

static const struct ipsec_engine *const engines[] = {
#ifdef HAVE_IPSEC_MB
    &ipsec_engine_mb[0], &ipsec_engine_mb[1], &ipsec_engine_mb[2],
#endif
    &ipsec_engine_openssl,
};

const struct ipsec_engine *ipsec_engine_find(enum fw_enc enc, enum fw_integ integ,
                                             const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(engines); i++) {
        if ((!name || strcmp(name, engines[i]->name) == 0) && engines[i]->supports(enc, integ)) {
            return engines[i];
        }
    }
    return NULL;
}
