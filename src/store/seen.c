/* seen.c - what one reading of a long list has come across. */
#include "seen.h"

#include <stdio.h>
#include <stdlib.h>

enum { CACHE_KIB = 32 * 1024 };         /* of pages in memory; what does not fit goes to the disk */

enum { ADD, FIND, NOTE, READ, STATEMENTS };

struct dm_seen {
    sqlite3 *sql;
    sqlite3_stmt *kept[STATEMENTS];
    dm_db_error error;
};

/* An ephemeral file needs neither a journal nor the disk's word; one transaction around all saves a lock for each row. */
static const char setup[] =
    "PRAGMA temp_store = FILE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
    "CREATE TABLE addresses (key TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
    "BEGIN;";

static const char *const texts[STATEMENTS] = {
    [ADD] = "INSERT OR IGNORE INTO addresses (key, row) VALUES (?1, ?2)",
    [FIND] = "SELECT row FROM addresses WHERE key = ?1",
    [NOTE] = "INSERT OR REPLACE INTO notes (name, text) VALUES (?1, ?2)",
    [READ] = "SELECT text FROM notes WHERE name = ?1",
};

static dm_db_code fail(dm_seen *s, int rc) {
    int code = rc & 0xff;
    s->error.code = code == SQLITE_NOMEM ? DM_DB_MEMORY : code == SQLITE_FULL ? DM_DB_FULL : code == SQLITE_CORRUPT ? DM_DB_CORRUPT : DM_DB_IO;
    snprintf(s->error.words, sizeof s->error.words, "%s", s->sql ? sqlite3_errmsg(s->sql) : sqlite3_errstr(rc));
    return s->error.code;
}

dm_seen *dm_seen_open(dm_db_error *why) {
    char cache[64];
    dm_seen *s = calloc(1, sizeof *s);
    if (!s) {
        *why = (dm_db_error){DM_DB_MEMORY, "out of memory"};
        return NULL;
    }
    int rc = sqlite3_open_v2("", &s->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    snprintf(cache, sizeof cache, "PRAGMA cache_size = -%d", CACHE_KIB);
    if (rc == SQLITE_OK) rc = sqlite3_exec(s->sql, cache, NULL, NULL, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(s->sql, setup, NULL, NULL, NULL);
    for (int i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
        rc = sqlite3_prepare_v3(s->sql, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->kept[i], NULL);
    if (rc == SQLITE_OK) return s;
    fail(s, rc);
    *why = s->error;
    dm_seen_close(s);
    return NULL;
}

void dm_seen_close(dm_seen *s) {
    if (!s) return;
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(s->kept[i]);
    sqlite3_close(s->sql);
    free(s);
}

const dm_db_error *dm_seen_error(const dm_seen *s) { return &s->error; }

/* What is bound lives until the statement is reset, right behind its step. */
static int bind(sqlite3_stmt *q, int i, dm_view v) { return sqlite3_bind_text64(q, i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8); }

dm_db_code dm_seen_row(dm_seen *s, dm_view key, int64_t *row) {
    sqlite3_stmt *q = s->kept[ADD];
    sqlite3_reset(q);
    int rc = bind(q, 1, key);
    if (rc == SQLITE_OK) rc = sqlite3_bind_int64(q, 2, *row);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    sqlite3_reset(q);
    if (rc != SQLITE_DONE) return fail(s, rc);
    if (sqlite3_changes(s->sql) > 0) return DM_DB_OK;
    q = s->kept[FIND];
    rc = bind(q, 1, key);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) *row = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    return rc == SQLITE_ROW ? DM_DB_ROW : fail(s, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc);
}

dm_db_code dm_seen_note(dm_seen *s, dm_view name, dm_view text) {
    sqlite3_stmt *q = s->kept[NOTE];
    int rc = bind(q, 1, name);
    if (rc == SQLITE_OK) rc = bind(q, 2, text);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? DM_DB_OK : fail(s, rc);
}

dm_db_code dm_seen_read(dm_seen *s, dm_view name, dm_view *text) {
    sqlite3_stmt *q = s->kept[READ];
    sqlite3_reset(q);                   /* not behind the step: the text lies in it */
    int rc = bind(q, 1, name);
    if (rc == SQLITE_OK) rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        text->p = (const char *)sqlite3_column_text(q, 0);
        text->n = (size_t)sqlite3_column_bytes(q, 0);
        return text->p ? DM_DB_ROW : fail(s, SQLITE_NOMEM);
    }
    sqlite3_reset(q);
    return rc == SQLITE_DONE ? DM_DB_NO : fail(s, rc);
}
