/* html.h - HTML as a row of events, read by gumbo within limits. */
#ifndef DM_HTML_H
#define DM_HTML_H

#include "directmail.h"

/* What one document may take; src/data/limits.tsv gives the reasons (html_*). */
typedef struct dm_html_limits {
    size_t octets;              /* of the document */
    size_t memory;              /* octets that gumbo may hold at once */
    unsigned nodes;             /* elements, texts and comments */
    unsigned depth;             /* elements inside elements */
    unsigned attributes;        /* of one element */
} dm_html_limits;

typedef enum dm_html_kind { DM_HTML_OPEN, DM_HTML_CLOSE, DM_HTML_TEXT, DM_HTML_COMMENT, DM_HTML_DOCTYPE } dm_html_kind;

typedef struct dm_html_event {
    dm_html_kind kind;
    dm_view name;               /* OPEN, CLOSE: the element's name in lower case ('?' for what is no ASCII); DOCTYPE: its name */
    dm_view text;               /* TEXT, COMMENT: entities decoded, UTF-8 */
    unsigned line, column;      /* where it begins in the source, from 1; 0 when it does not stand there */
    bool implied;               /* OPEN, CLOSE: the source does not have this tag */
    size_t attributes;          /* OPEN */
    const void *element;
} dm_html_event;

typedef struct dm_html dm_html;

/* Parse a document or a fragment in UTF-8 (other octets become U+FFFD). NULL when it is over a limit or memory is short, and
** 'why' says which in words. 'in' must stay as it is until dm_html_free(), and a NUL must stand behind it as behind each string of
** Lua: gumbo looks one octet too far when the text ends in "&not". */
dm_html *dm_html_parse(dm_view in, const dm_html_limits *limits, char why[128]);
void dm_html_free(dm_html *h);

/* The next event in document order; false at the end. Every OPEN has its CLOSE, also <br>'s. The views live until dm_html_free(),
** a name that had to be written in lower case until the next call. */
bool dm_html_next(dm_html *h, dm_html_event *event);

/* Attribute i of an OPEN event: its name in lower case, its value with entities decoded. */
void dm_html_attribute(const dm_html_event *event, size_t i, dm_view *name, dm_view *value);

#endif
