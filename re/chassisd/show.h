/*
 * show - chassisd's RPC answers: version, FPCs, PICs, inventory.
 *
 * Element names: srx5000 reference, E.2 to E.4. Main-loop thread only.
 */
#ifndef RE_CHASSISD_SHOW_H
#define RE_CHASSISD_SHOW_H

#include "re/chassisd/chassis.h"
#include "re/shell/shell.h"

void show_version(struct re_xml *xml, const char *host_name, const char *model);
/* slot < 0: all. */
void show_fpc(struct re_xml *xml, const struct chassis *chassis, int slot);
void show_pic_status(struct re_xml *xml, const struct chassis *chassis, int slot);
void show_inventory(struct re_xml *xml, const struct chassis *chassis, const char *model);

#endif
