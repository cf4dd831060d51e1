/* fixture.h - what the tests of the store share: a file of their own, and SQLite's memory handed to alloc.h. */
#ifndef DM_TESTS_STORE_FIXTURE_H
#define DM_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "outbox.h"

typedef struct place {
    char folder[256], path[300];
} place;

static inline void place_make(place *p) {
    const char *tmp = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0) tmp = "/dev/shm";        /* a disk would take a minute over all the fsync() of these tests */
    snprintf(p->folder, sizeof p->folder, "%s/store.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/outbox.db", p->folder);
}

static inline void place_empty(const place *p) {
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[320];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", p->path, ends[i]);
        unlink(path);
    }
}

static inline void place_remove(const place *p) {
    place_empty(p);
    rmdir(p->folder);
}

static inline dm_db *must_open(const char *path) {
    dm_db_error why;
    dm_db *db = dm_db_open(path, &why);
    if (!db) fail_msg("%d %s", why.code, why.words);
    return db;
}

static inline dm_view text(const char *s) { return (dm_view){s, strlen(s)}; }

#define IN_TRANSACTION(db) \
    for (int dm_once = (assert_int_equal(dm_db_begin(db), DM_DB_OK), 1); dm_once; dm_once = (assert_int_equal(dm_db_commit(db), DM_DB_OK), 0))

static inline void exec_sql(dm_db *db, const char *sql) {
    char *why = NULL;
    if (sqlite3_exec(db->sql, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
}

static inline int64_t number_of(dm_db *db, const char *sql) {
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* ---- SQLite allocates with this program's malloc, so that --wrap reaches it ---- */

static inline void *fixture_malloc(int n) { return malloc((size_t)n); }
static inline void *fixture_realloc(void *p, int n) { return realloc(p, (size_t)n); }
static inline int fixture_size(void *p) { return p ? (int)malloc_usable_size(p) : 0; }
static inline int fixture_roundup(int n) { return (n + 7) & ~7; }
static inline int fixture_init(void *p) { return (void)p, SQLITE_OK; }
static inline void fixture_shutdown(void *p) { (void)p; }

/* Before anything else is done with SQLite. */
static inline void use_our_malloc(void) {
    static const sqlite3_mem_methods ours = {
        fixture_malloc, free, fixture_realloc, fixture_size, fixture_roundup, fixture_init, fixture_shutdown, NULL,
    };
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);        /* each small block is malloc's, too */
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
}

#endif
