/*
** db.h - what the rooms of the store share: one SQLite file, its kept statements, one transaction at a time.
** Nothing here knows the time: now comes in as milliseconds since 1970.
*/
#ifndef DM_STORE_DB_H
#define DM_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "directmail.h"

#if SQLITE_VERSION_NUMBER < 3035000
#error "SQLite 3.35 or newer is needed (UPDATE ... RETURNING)"
#endif

/* What a call ends with, and the word that Lua gets for it. */
#define DM_DB_CODES(X)                                                              \
    X(OK, "ok")                                                                     \
    X(ROW, "row")               /* a step: there is a row to read */                \
    X(NO, "no")                 /* the job is another's by now, or there is none */ \
    X(BUSY, "busy")             /* another process writes: the same call later */   \
    X(FULL, "full")                                                                 \
    X(READONLY, "readonly")                                                         \
    X(FOREIGN, "foreign")       /* another application's file, or no database */    \
    X(NEWER, "newer")           /* a newer directmail's */                          \
    X(CORRUPT, "corrupt")                                                           \
    X(IO, "io")                                                                     \
    X(FORKED, "forked")         /* opened by the process that this one was forked from */ \
    X(MEMORY, "memory")

typedef enum dm_db_code {
#define DM_X(name, word) DM_DB_##name,
    DM_DB_CODES(DM_X)
#undef DM_X
} dm_db_code;

typedef struct dm_db_error {
    dm_db_code code;
    char       words[256];      /* SQLite's or the system's, cut to fit */
} dm_db_error;

/* The statements that stay prepared: one for each piece of SQL in the rooms. */
typedef enum dm_db_slot {
    DM_SQL_BEGIN, DM_SQL_COMMIT,
    DM_SQL_INSERT, DM_SQL_PAYLOAD, DM_SQL_BY_KEY, DM_SQL_AGAIN, DM_SQL_LEASE, DM_SQL_READ, DM_SQL_EXTEND, DM_SQL_MARK, DM_SQL_ACK,
    DM_SQL_EMPTY, DM_SQL_RETRY, DM_SQL_BURY, DM_SQL_REAP, DM_SQL_FORGET, DM_SQL_COUNT, DM_SQL_LIST,
    DM_SQL_BUCKET, DM_SQL_FILL, DM_SQL_DRAINED,
    DM_SQL_SUPPRESS, DM_SQL_RESUBSCRIBE, DM_SQL_SUPPRESSED, DM_SQL_SUPPRESSIONS,
    DM_SQL_SLOTS
} dm_db_slot;

typedef struct dm_db {
    sqlite3      *sql;
    sqlite3_stmt *kept[DM_SQL_SLOTS];
    dm_db_error   error;        /* the first of this transaction; nothing more is done in it then */
    pid_t         owner;        /* SQLite's locks do not survive a fork */
} dm_db;

/* Open the file, make it (mode 0600) when there is none. NULL: 'why' is filled; after DM_DB_BUSY try again. */
dm_db *dm_db_open(const char *path, dm_db_error *why);
void dm_db_close(dm_db *db);

/* All between the two is on disk or was never there. begin() also gives up what an earlier one left open.
** DM_DB_OK, or why not: 'db->error'. */
dm_db_code dm_db_begin(dm_db *db);
dm_db_code dm_db_commit(dm_db *db);

/* A kept statement, ready for its parameters; NULL: 'db->error'. What is bound is not copied: it must live until the last step. */
sqlite3_stmt *dm_db_statement(dm_db *db, dm_db_slot slot, const char *text);
void dm_db_int(dm_db *db, sqlite3_stmt *s, int i, int64_t n);
void dm_db_real(dm_db *db, sqlite3_stmt *s, int i, double x);
void dm_db_text(dm_db *db, sqlite3_stmt *s, int i, dm_view v);      /* a view whose p is NULL is SQL's NULL */
void dm_db_blob(dm_db *db, sqlite3_stmt *s, int i, dm_view v);

/* The next row: DM_DB_ROW, DM_DB_OK behind the last, or a failure. */
dm_db_code dm_db_step(dm_db *db, sqlite3_stmt *s);
/* Run to the end and look at what it changed: DM_DB_OK, DM_DB_NO when that was nothing, or a failure. */
dm_db_code dm_db_change(dm_db *db, sqlite3_stmt *s);
/* A column of the row, alive until the statement's next step or use; p is NULL for SQL's NULL, and when there is no memory: 'db->error'. */
dm_view dm_db_column(dm_db *db, sqlite3_stmt *s, int i);
/* The file holds what we never wrote: DM_DB_CORRUPT. */
dm_db_code dm_db_damaged(dm_db *db, const char *words);

#endif
