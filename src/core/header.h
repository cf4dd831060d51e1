/* header.h - what header.c gives to the message builder: header fields and the checks of what stands in them. */
#ifndef DM_CORE_HEADER_H
#define DM_CORE_HEADER_H

#include "buf.h"

enum {
    DM_LINE = 998,              /* octets of a line without its CRLF, RFC 5322 section 2.1.1 */
    DM_FOLD = 78                /* what a line should have, same section */
};

/* Append the fields, a CRLF behind each. DM_E_HEADER names the field and says why. */
dm_code dm_header_write(dm_buf *out, const dm_field *fields, size_t count, dm_error *err);

/* Text of a stranger for dm_error.field: cut between characters, controls and broken UTF-8 as '?'. Returns 'out'. */
char *dm_header_quote(char *out, size_t size, dm_view text);

/* May it stand between '<' and '>' in a command or a field? Not a parser: the gate behind it. */
bool dm_header_path(dm_view address);

/* No line of 'out' from 'from' on is over DM_LINE. */
bool dm_header_fits(const dm_buf *out, size_t from);

/* Octets of the RFC 2045 token at the front of 'v'. */
size_t dm_header_token(dm_view v);

#endif
