/* word.h - encoded words for the rooms of the core that write headers. */
#ifndef DM_CORE_WORD_H
#define DM_CORE_WORD_H

#include "buf.h"

/* Start a new line of the header: a blank that ends 'out' moves there. *column is 1 then. */
void dm_word_fold(dm_buf *out, size_t *column);

/* May the text go into a header? DM_E_HEADER: CR, LF, NUL; DM_E_CONTENT: not UTF-8. */
dm_code dm_word_check(dm_view text);

/* 'text', checked and not empty, as encoded words with folds between them. 'phrase':
** in the narrow alphabet of RFC 2047, 5(3). No line gets longer than 'line'. */
dm_code dm_word_encode(dm_buf *out, dm_view text, size_t *column, bool phrase, size_t line);

#endif
