/* db.c - one SQLite file that is ours: opened, checked, written in transactions, its failures put into words. */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION = 0x444d5354,           /* "DMST": PRAGMA application_id of our files */
    SCHEMA = 1,                         /* PRAGMA user_version */
    WAIT_MS = 25,                       /* SQLite's own wait for a lock; a longer one is the caller's, who has other tasks */
    VALUE_OCTETS = 64 << 20,            /* no value of a file from elsewhere makes us take more memory */
};

/* state: 0 waiting 1 leased 2 marked 3 sent 4 refused 5 not_sent 6 unknown, as in outbox.h.
** due: waiting: not before; leased and marked: until; settled: since.
** AUTOINCREMENT: an id that was forgotten never comes back, so id and tries name one attempt for ever.
** Payloads lie apart: a change of a row writes it anew, with all that is in it. */
static const char schema[] =
    "CREATE TABLE jobs ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, hash TEXT NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),"
    " tries INTEGER NOT NULL, due INTEGER NOT NULL, made INTEGER NOT NULL, queued INTEGER NOT NULL, again INTEGER NOT NULL DEFAULT 0,"
    " result TEXT);"
    "CREATE INDEX jobs_by_state ON jobs (state, due);"
    "CREATE TABLE payloads (id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, body BLOB NOT NULL);"
    "CREATE TABLE buckets (name TEXT PRIMARY KEY, tokens REAL NOT NULL, at INTEGER NOT NULL, full INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX buckets_by_full ON buckets (full);"
    "CREATE TABLE suppressions (address TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY (address, reason, source)) WITHOUT ROWID;"
    "CREATE TABLE resubscriptions (address TEXT NOT NULL, source TEXT NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY (address, source)) WITHOUT ROWID;";

static dm_db_code code_of(int rc) {
    switch (rc & 0xff) {
    case SQLITE_OK: case SQLITE_DONE: return DM_DB_OK;
    case SQLITE_ROW: return DM_DB_ROW;
    case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_PROTOCOL: return DM_DB_BUSY;
    case SQLITE_FULL: return DM_DB_FULL;
    case SQLITE_READONLY: case SQLITE_PERM: return DM_DB_READONLY;
    case SQLITE_NOTADB: return DM_DB_FOREIGN;
    case SQLITE_NOMEM: return DM_DB_MEMORY;
    case SQLITE_IOERR: return rc == SQLITE_IOERR_NOMEM ? DM_DB_MEMORY : DM_DB_IO;
    case SQLITE_CANTOPEN: case SQLITE_TOOBIG: case SQLITE_NOLFS: case SQLITE_INTERRUPT: return DM_DB_IO;
    default: return DM_DB_CORRUPT;      /* our statements fit our tables: these are others, or damaged */
    }
}

static void set_words(dm_db_error *why, dm_db_code code, const char *words) {
    why->code = code;
    snprintf(why->words, sizeof why->words, "%s", words);
}

static void set_errno(dm_db_error *why, int error) {
    set_words(why, error == ENOSPC || error == EDQUOT ? DM_DB_FULL : error == ENOMEM ? DM_DB_MEMORY :
              error == EROFS ? DM_DB_READONLY : DM_DB_IO, strerror(error));
}

/* Keep SQLite's failure in 'why', unless an earlier one stands there. */
static dm_db_code fail(sqlite3 *sql, dm_db_error *why, int rc) {
    if (why->code != DM_DB_OK) return why->code;
    int error = sql ? sqlite3_system_errno(sql) : 0;
    bool system = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    set_words(why, code_of(rc), sql ? sqlite3_errmsg(sql) : sqlite3_errstr(rc));
    if (system && error != 0 && why->code == DM_DB_IO) set_errno(why, error);
    return why->code;
}

/* ---- opening ---------------------------------------------------------------- */

/* Make the file for its owner only, before SQLite would make it for all. One that is there is left alone: closing a second
** descriptor of it would drop the locks that this process holds on it (fcntl, POSIX). The whole path, to be freed, or NULL. */
static char *place(const char *path, dm_db_error *why) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    } else if (errno != EEXIST) {
        set_errno(why, errno);
        return NULL;
    }
    struct stat info;
    char *whole = realpath(path, NULL);         /* no "file:" and no ":memory:" any more, and no change of folder moves it */
    if (!whole || stat(whole, &info) != 0) {
        set_errno(why, errno);
    } else if (!S_ISREG(info.st_mode)) {
        set_words(why, DM_DB_FOREIGN, "it is no regular file");
    } else {
        return whole;
    }
    free(whole);
    return NULL;
}

static int exec(dm_db *db, const char *text) { return sqlite3_exec(db->sql, text, NULL, NULL, NULL); }

/* The number that a PRAGMA or a SELECT gives; false: 'db->error'. */
static bool number(dm_db *db, const char *text, int64_t *n) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->sql, text, -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *n = sqlite3_column_int64(s, 0);
    int end = sqlite3_finalize(s);
    if (rc == SQLITE_ROW && end == SQLITE_OK) return true;
    fail(db->sql, &db->error, rc == SQLITE_ROW ? end : rc);
    return false;
}

/* Is it ours, or nobody's yet ('fresh')? In a transaction: another process may be making the tables just now. */
static bool check_owner(dm_db *db, bool *fresh) {
    int64_t application, version, things;
    if (!number(db, "PRAGMA application_id", &application) || !number(db, "PRAGMA user_version", &version) ||
        !number(db, "SELECT count(*) FROM sqlite_master", &things))
        return false;
    *fresh = application == 0 && version == 0 && things == 0;
    if (*fresh) return true;
    if (application != APPLICATION) {
        set_words(&db->error, DM_DB_FOREIGN, "it is a database of another application");
    } else if (version > SCHEMA) {
        snprintf(db->error.words, sizeof db->error.words, "its tables have version %lld, this directmail knows %d", (long long)version, SCHEMA);
        db->error.code = DM_DB_NEWER;
    } else if (version != SCHEMA) {
        set_words(&db->error, DM_DB_CORRUPT, "its tables have no version");
    }
    return db->error.code == DM_DB_OK;
}

/* Make the tables, unless another process was first. */
static bool make_tables(dm_db *db) {
    char mark[96];
    bool fresh;
    int rc = exec(db, "BEGIN IMMEDIATE");
    if (rc != SQLITE_OK) return fail(db->sql, &db->error, rc), false;
    if (check_owner(db, &fresh)) {
        snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION, SCHEMA);
        if (fresh) rc = exec(db, schema);
        if (rc == SQLITE_OK) rc = exec(db, fresh ? mark : "COMMIT");
        if (rc != SQLITE_OK) fail(db->sql, &db->error, rc);
    }
    if (!sqlite3_get_autocommit(db->sql)) exec(db, "ROLLBACK");
    return db->error.code == DM_DB_OK;
}

static bool use_wal(dm_db *db) {
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db->sql, "PRAGMA journal_mode = WAL", -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    const unsigned char *mode = rc == SQLITE_ROW ? sqlite3_column_text(s, 0) : NULL;
    bool wal = mode && strcmp((const char *)mode, "wal") == 0;
    if (rc != SQLITE_ROW)
        fail(db->sql, &db->error, rc);
    else if (!mode)
        set_words(&db->error, DM_DB_MEMORY, "out of memory");
    else if (!wal)
        set_words(&db->error, DM_DB_IO, "its file system cannot share memory between processes (a network drive?)");
    sqlite3_finalize(s);
    return wal;
}

/* A file from elsewhere may hold what does not deserve trust: it runs no functions, its damage is found when it is read. */
static int harden(sqlite3 *sql) {
    int rc = sqlite3_db_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(sql, SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int *)NULL);
    if (rc == SQLITE_OK) rc = sqlite3_exec(sql, "PRAGMA cell_size_check = ON", NULL, NULL, NULL);
    sqlite3_limit(sql, SQLITE_LIMIT_LENGTH, VALUE_OCTETS);
    return rc;
}

static void set_up(dm_db *db, const char *path) {
    bool fresh;
    int rc = sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (db->sql) sqlite3_extended_result_codes(db->sql, 1);
    if (rc == SQLITE_OK) rc = sqlite3_busy_timeout(db->sql, WAIT_MS);
    if (rc == SQLITE_OK) rc = harden(db->sql);
    if (rc != SQLITE_OK) {
        fail(db->sql, &db->error, rc);
        return;
    }
    rc = exec(db, "BEGIN");
    if (rc != SQLITE_OK) fail(db->sql, &db->error, rc);
    if (rc != SQLITE_OK || !check_owner(db, &fresh)) return;    /* before anything is written into it */
    rc = exec(db, "COMMIT");
    if (rc != SQLITE_OK) {
        fail(db->sql, &db->error, rc);
        return;
    }
    if (sqlite3_db_readonly(db->sql, "main") == 1) {    /* SQLite opens such a file for reading, without a word */
        set_words(&db->error, DM_DB_READONLY, "it may only be read");
        return;
    }
    if (!use_wal(db)) return;
    rc = exec(db, "PRAGMA synchronous = FULL"); /* in WAL mode NORMAL would lose marks when the power fails */
    if (rc != SQLITE_OK)
        fail(db->sql, &db->error, rc);
    else if (fresh)
        make_tables(db);
}

dm_db *dm_db_open(const char *path, dm_db_error *why) {
    *why = (dm_db_error){DM_DB_OK, ""};
    dm_db *db = NULL;
    char *whole = place(path, why);
    if (!whole) return NULL;
    db = calloc(1, sizeof *db);
    if (!db) {
        set_words(why, DM_DB_MEMORY, "out of memory");
        goto done;
    }
    db->owner = getpid();
    set_up(db, whole);
    if (db->error.code != DM_DB_OK) {
        *why = db->error;
        dm_db_close(db);
        db = NULL;
    }
done:
    free(whole);
    return db;
}

void dm_db_close(dm_db *db) {
    if (!db) return;
    if (db->owner == getpid()) {        /* else: closing would take the parent's log away */
        for (int i = 0; i < DM_SQL_SLOTS; i++) sqlite3_finalize(db->kept[i]);
        sqlite3_close(db->sql);
    }
    free(db);
}

/* ---- statements --------------------------------------------------------------- */

sqlite3_stmt *dm_db_statement(dm_db *db, dm_db_slot slot, const char *text) {
    if (db->error.code != DM_DB_OK) return NULL;
    sqlite3_stmt **s = &db->kept[slot];
    if (*s) {
        sqlite3_reset(*s);
        sqlite3_clear_bindings(*s);
        return *s;
    }
    int rc = sqlite3_prepare_v3(db->sql, text, -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    if (rc != SQLITE_OK) fail(db->sql, &db->error, rc);
    return *s;
}

static void bound(dm_db *db, int rc) {
    if (rc != SQLITE_OK) fail(db->sql, &db->error, rc);
}

void dm_db_int(dm_db *db, sqlite3_stmt *s, int i, int64_t n) { bound(db, sqlite3_bind_int64(s, i, n)); }

void dm_db_real(dm_db *db, sqlite3_stmt *s, int i, double x) { bound(db, sqlite3_bind_double(s, i, x)); }

void dm_db_text(dm_db *db, sqlite3_stmt *s, int i, dm_view v) {
    bound(db, sqlite3_bind_text64(s, i, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void dm_db_blob(dm_db *db, sqlite3_stmt *s, int i, dm_view v) { bound(db, sqlite3_bind_blob64(s, i, v.p, v.n, SQLITE_STATIC)); }

dm_db_code dm_db_step(dm_db *db, sqlite3_stmt *s) {
    if (db->error.code != DM_DB_OK) return db->error.code;
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) return DM_DB_ROW;
    if (rc != SQLITE_DONE) fail(db->sql, &db->error, rc);
    sqlite3_reset(s);
    return db->error.code;
}

dm_db_code dm_db_change(dm_db *db, sqlite3_stmt *s) {
    dm_db_code code;
    do code = dm_db_step(db, s);
    while (code == DM_DB_ROW);
    if (code != DM_DB_OK) return code;
    return sqlite3_changes(db->sql) > 0 ? DM_DB_OK : DM_DB_NO;
}

dm_view dm_db_column(dm_db *db, sqlite3_stmt *s, int i) {
    if (sqlite3_column_type(s, i) == SQLITE_NULL) return (dm_view){NULL, 0};
    const char *p = sqlite3_column_blob(s, i);
    if (p) return (dm_view){p, (size_t)sqlite3_column_bytes(s, i)};
    if (sqlite3_errcode(db->sql) != SQLITE_NOMEM) return (dm_view){"", 0};      /* an empty one is NULL too */
    fail(db->sql, &db->error, SQLITE_NOMEM);
    return (dm_view){NULL, 0};
}

dm_db_code dm_db_damaged(dm_db *db, const char *words) {
    if (db->error.code == DM_DB_OK) set_words(&db->error, DM_DB_CORRUPT, words);
    return db->error.code;
}

/* ---- transactions --------------------------------------------------------------- */

static void release(dm_db *db) {
    for (int i = 0; i < DM_SQL_SLOTS; i++)
        if (db->kept[i]) sqlite3_reset(db->kept[i]);
}

static void roll_back(dm_db *db) {
    release(db);
    if (!sqlite3_get_autocommit(db->sql)) exec(db, "ROLLBACK"); /* after a full disk SQLite has done it already */
}

dm_db_code dm_db_begin(dm_db *db) {
    if (db->owner != getpid()) {
        set_words(&db->error, DM_DB_FORKED, "it was opened before a fork");
        return DM_DB_FORKED;
    }
    roll_back(db);
    db->error = (dm_db_error){DM_DB_OK, ""};
    /* IMMEDIATE: who reads first and writes later may find that another was faster, and could not go on */
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_BEGIN, "BEGIN IMMEDIATE");
    return s ? dm_db_step(db, s) : db->error.code;
}

dm_db_code dm_db_commit(dm_db *db) {
    if (db->error.code == DM_DB_OK) {
        release(db);
        sqlite3_stmt *s = dm_db_statement(db, DM_SQL_COMMIT, "COMMIT");
        if (s) dm_db_step(db, s);
    }
    if (db->error.code != DM_DB_OK && db->error.code != DM_DB_FORKED) roll_back(db);
    return db->error.code;
}
