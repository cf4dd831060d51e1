/*
** suppress.h - who must not get mail any more.
** Nothing here is ever overwritten: each reason and source is kept, with the last time it was heard of. An address is free
** again only by an act of its own that is younger than all of them, so no list that is read in again can undo an unsubscription.
*/
#ifndef DM_STORE_SUPPRESS_H
#define DM_STORE_SUPPRESS_H

#include "db.h"

typedef struct dm_suppression {
    dm_view reason, source;     /* alive until the next call */
    int64_t at;                 /* as it was given */
} dm_suppression;

dm_db_code dm_suppress(dm_db *db, dm_view address, dm_view reason, dm_view source, int64_t at);
dm_db_code dm_resubscribe(dm_db *db, dm_view address, dm_view source, int64_t at);
/* The oldest reason that holds; DM_DB_NO: none. */
dm_db_code dm_suppressed(dm_db *db, dm_view address, dm_suppression *out);
/* Every reason that holds, by address, from behind 'after' on ("": all): begin, then take each; DM_DB_OK: a row, DM_DB_NO: no more. */
dm_db_code dm_suppressions(dm_db *db, dm_view after, size_t n, sqlite3_stmt **s);
dm_db_code dm_suppressions_next(dm_db *db, sqlite3_stmt *s, dm_view *address, dm_suppression *out);

#endif
