/* auth.h - the lines of AUTH PLAIN and AUTH LOGIN, for smtp.c. */
#ifndef DM_CORE_AUTH_H
#define DM_CORE_AUTH_H

#include "directmail.h"

enum { DM_AUTH_LINE = 512, DM_AUTH_MAX = 12288 };   /* RFC 5321, 4.5.3.1.4; RFC 4954, 4 */

/* RFC 4616, 2: no NUL in either; DM_E_CREDENTIALS with the field. */
dm_code dm_auth_check(dm_view user, dm_view password, dm_error *err);
/* base64 of NUL user NUL password (RFC 4616), and of one of them for LOGIN; no line end. */
dm_code dm_auth_plain(dm_buf *out, dm_view user, dm_view password);

#endif
