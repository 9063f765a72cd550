/*
 * show - ifd's RPC answers: interfaces and routes.
 *
 * Element names: srx5000 reference, E.14, and the real box's XML. Main-loop thread only.
 */
#ifndef RE_IFD_SHOW_H
#define RE_IFD_SHOW_H

#include <stdint.h>

#include "re/ifd/table.h"
#include "re/shell/shell.h"

/* only: a physical or logical name, or NULL for all. */
void show_interfaces(struct re_xml *xml, const struct table *table, const char *only);
void show_routes(struct re_xml *xml, const struct table *table, int64_t now_ns);

#endif
