/* labfile_link - the links section of a lab file; see labfile.c. */
#include <string.h>

#include "hw/lab/labfile_parts.h"

/* "xe-1/0/0" into its parts. */
static bool port_parse(const char *port, char *ret_media, size_t media_size, unsigned *ret)
{
    const char *dash = strchr(port, '-');
    g_auto(GStrv) parts = NULL;

    if (!dash || dash == port || (size_t)(dash - port) >= media_size) {
        return false;
    }
    parts = g_strsplit(dash + 1, "/", 4);
    if (g_strv_length(parts) != 3) {
        return false;
    }
    for (unsigned n = 0; n < 3; n++) {
        guint64 value;

        if ((parts[n][0] == '0' && parts[n][1]) ||
            !g_ascii_string_to_unsigned(parts[n], 10, 0, 255, &value, NULL)) {
            return false;
        }
        ret[n] = (unsigned)value;
    }
    memcpy(ret_media, port, (size_t)(dash - port));
    ret_media[dash - port] = '\0';
    return true;
}

static bool port_check(const struct lab_reading *r, const yaml_tree_node *node, const char *port,
                       struct lab_end *end)
{
    const struct lab_card *card;
    unsigned parts[3];
    char media[8];

    if (strlen(port) >= sizeof(end->port) || !port_parse(port, media, sizeof(media), parts)) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "'%s' is no port name; write for example xe-1/0/0 "
                              "(FPC slot/PIC/port)", port);
    }
    card = lab_node_card(end->node, LAB_FPC, parts[0]);
    if (!card || card->card->kind != CATALOG_IOC) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s has no I/O card in slot %u for the port %s; add one "
                              "there or correct the port", end->node->name, parts[0], port);
    }
    for (unsigned n = 0; n < card->card->n_pics; n++) {
        const struct catalog_pic *pic = &card->card->pics[n];

        if (pic->number == parts[1] && pic->media && strcmp(pic->media, media) == 0 &&
            parts[2] < pic->ports) {
            end->slot = parts[0];
            end->pic = parts[1];
            end->number = parts[2];
            g_strlcpy(end->port, port, sizeof(end->port));
            return true;
        }
    }
    return yaml_tree_fail(r->tree, node, r->error,
                          "the %s in slot %u of node %s has no port %s; see its PICs in "
                          "the catalogue", card->card->name, parts[0], end->node->name, port);
}

static unsigned host_links(const struct lab_file *lab, const struct lab_host *host)
{
    unsigned count = 0;

    for (unsigned n = 0; n < lab->n_links; n++) {
        count += lab->links[n].ends[0].host == host;
        count += lab->links[n].ends[1].host == host;
    }
    return count;
}

static bool end_read(struct lab_reading *r, const yaml_tree_node *node, struct lab_end *end)
{
    const char *text = yaml_tree_string(r->tree, node, "an end of a link", r->error);
    g_autofree char *name = NULL;
    const char *colon;

    if (!text) {
        return false;
    }
    colon = strchr(text, ':');
    name = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    end->node = lab_file_node(r->lab, name);
    end->host = lab_file_host(r->lab, name);
    if (!end->node && !end->host) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "'%s' is neither a node nor a host of this lab; correct the name or "
                              "add it", name);
    }
    if (end->node && !colon) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a node; name its port as well, for example %s:xe-1/0/0", name,
                              name);
    }
    if (end->host && colon) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a host, whose interfaces are numbered eth0, eth1 ... in the "
                              "order of the links; write only %s", name, name);
    }
    if (end->node) {
        const struct lab_link *other;

        if (!port_check(r, node, colon + 1, end)) {
            return false;
        }
        other = lab_file_port_link(r->lab, end->node, end->port);
        if (other) {
            return yaml_tree_fail(r->tree, node, r->error,
                                  "port %s of node %s is already used by link %s; take another one",
                                  end->port, end->node->name, other->name);
        }
        return true;
    }
    if (end->host->type == LAB_TRAFFIC && host_links(r->lab, end->host) > 0) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a traffic host and has one link already; add another host",
                              name);
    }
    g_snprintf(end->port, sizeof(end->port), "eth%u", host_links(r->lab, end->host));
    return true;
}

static bool link_read(struct lab_reading *r, const yaml_tree_node *map)
{
    static const char *const keys[] = {"name", "ends", NULL};
    const yaml_tree_node *name_node, *ends;
    struct lab_link *link;
    const char *name;

    if (!yaml_tree_map(r->tree, map, "a link", keys, r->error)) {
        return false;
    }
    name_node = yaml_tree_get(r->tree, map, "name");
    ends = yaml_tree_get(r->tree, map, "ends");
    if (!name_node || !ends) {
        return yaml_tree_fail(r->tree, map, r->error,
                              "a link has no %s; write {name: middle, ends: [A, B]}",
                              name_node ? "ends" : "name");
    }
    name = yaml_tree_string(r->tree, name_node, "the link's name", r->error);
    if (!name || !lab_name_check(r, name_node, "link", name) ||
        !yaml_tree_list(r->tree, ends, "ends", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < r->lab->n_links; n++) {
        if (strcmp(r->lab->links[n].name, name) == 0) {
            return yaml_tree_fail(r->tree, name_node, r->error,
                                  "two links are called %s; rename one", name);
        }
    }
    if (yaml_tree_count(ends) != 2) {
        return yaml_tree_fail(r->tree, ends, r->error, "link %s has %u ends; two are wanted", name,
                              yaml_tree_count(ends));
    }
    if (r->lab->n_links == LAB_LINKS_MAX) {
        return yaml_tree_fail(r->tree, map, r->error, "more than %d links; split the lab",
                              LAB_LINKS_MAX);
    }
    /* Counted at once: the second end must see the first one as used. */
    link = &r->lab->links[r->lab->n_links++];
    link->name = g_strdup(name);
    link->line = yaml_tree_line(map);
    for (unsigned n = 0; n < 2; n++) {
        struct lab_end end = {0};

        if (!end_read(r, yaml_tree_item(r->tree, ends, n), &end)) {
            return false;
        }
        link->ends[n] = end;
    }
    if ((link->ends[0].host && link->ends[0].host->type == LAB_TRAFFIC && link->ends[1].host) ||
        (link->ends[1].host && link->ends[1].host->type == LAB_TRAFFIC && link->ends[0].host)) {
        return yaml_tree_fail(r->tree, ends, r->error,
                              "link %s: a traffic host is linked to a port of a node only; link it "
                              "to one", name);
    }
    return true;
}

bool lab_links_read(struct lab_reading *r, const yaml_tree_node *list)
{
    if (!yaml_tree_list(r->tree, list, "links", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(list); n++) {
        if (!link_read(r, yaml_tree_item(r->tree, list, n))) {
            return false;
        }
    }
    return true;
}
