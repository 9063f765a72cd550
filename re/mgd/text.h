/*
 * text - texts that are in the program: the YANG module, the show templates.
 *
 * The tables are generated (embed.awk). Constant; any thread.
 */
#ifndef MGD_TEXT_H
#define MGD_TEXT_H

struct mgd_text {
    const char *name; /* file name; NULL ends the table */
    const char *text;
};

extern const struct mgd_text mgd_yang_texts[];
extern const struct mgd_text mgd_show_texts[];

#endif
