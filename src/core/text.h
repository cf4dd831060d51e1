/* text.h - what text.c gives to the message builder: texts made ready for the wire. */
#ifndef DM_CORE_TEXT_H
#define DM_CORE_TEXT_H

#include "buf.h"

typedef enum dm_coding { DM_7BIT, DM_8BIT, DM_QUOTED, DM_BASE64 } dm_coding;

/* Content-Transfer-Encoding's word for it. */
const char *dm_coding_name(dm_coding coding);

/* Append a text, UTF-8, in the encoding that suits it best: never a bare CR or LF, never a line that begins with a
** dot or is over 998 octets. DM_E_CONTENT with err about 'field'. */
dm_code dm_text_encode(dm_buf *out, dm_view text, dm_coding *coding, const char *field, dm_error *err);

/* Append 'bytes' as they stand, line ends repaired: DM_7BIT or DM_8BIT. *dots becomes true when a line begins with a
** dot. DM_E_CONTENT with err about 'field' when a line is over 998 octets or holds a NUL. */
dm_code dm_text_raw(dm_buf *out, dm_view bytes, dm_coding *coding, bool *dots, const char *field, dm_error *err);

#endif
