/*
 * render - the text form of operational XML, by templates.
 *
 * A template is lines. A line that begins with % is a directive:
 *   % each PATH     ... % end    the block for every element of that path
 *   % if PATH       ... % else ... % end     when it is there (not empty)
 *   % if not PATH ; % if PATH = TEXT ; % if PATH != TEXT ; % if PATH > NUMBER
 *   % # text        a remark
 * Any other line is text in which {FIELD} is replaced; a line that ends with a
 * backslash goes on with the next one. Fields:
 *   {path}          text of the element; several words of a path are joined by /, . is the
 *                   element itself, .. the one above, @name an attribute
 *   {path:9} {path:<9}   padded on the right to 9 columns; {path:>9} on the left
 *   {path|-}        with a text for when it is empty
 *   {@@57}          blanks up to column 57 (from 0)
 *   {#path}         how many
 *   {{              a brace
 * Blanks at the end of a line go away. Element names are local names. Pure; any
 * thread that owns the document.
 */
#ifndef MGD_RENDER_H
#define MGD_RENDER_H

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

/* Appends the text for the root element of the answer. */
void render(const char *template, const xmlNode *root, GString *out);
/* The template's text by name ("show-version"), or NULL. */
const char *render_template(const char *name);

/* The XML form, four blanks of indent; the JSON form of operational data. */
void render_xml(const xmlNode *root, GString *out);
void render_json(const xmlNode *root, GString *out);

/* A JSON string with its quotes. */
void render_json_text(const char *text, GString *out);

#endif
