/*
** seen.h - what one reading of a long list has come across: addresses with the row where each stood first, domains with what was
** found out about them. A database without a name, which SQLite keeps on the disk and which ends with it: ten million rows
** take no more memory than ten thousand.
*/
#ifndef DM_STORE_SEEN_H
#define DM_STORE_SEEN_H

#include "db.h"

typedef struct dm_seen dm_seen;

dm_seen *dm_seen_open(dm_db_error *why);
void dm_seen_close(dm_seen *s);

/* DM_DB_OK: it is new, and stands there with its row now; DM_DB_ROW: '*row' is where it stood first; or a failure: dm_seen_error(). */
dm_db_code dm_seen_row(dm_seen *s, dm_view key, int64_t *row);
/* Note a text about a name, in place of an older one. */
dm_db_code dm_seen_note(dm_seen *s, dm_view name, dm_view text);
/* DM_DB_ROW: '*text' lives until the next call; DM_DB_NO: nothing is noted. */
dm_db_code dm_seen_read(dm_seen *s, dm_view name, dm_view *text);
const dm_db_error *dm_seen_error(const dm_seen *s);

#endif
