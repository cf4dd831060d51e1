/* bucket.c - rates that the processes of one machine share. */
#include "bucket.h"

#include <math.h>

#define LEAST 1e-9              /* of a token: what adding up fractions may lose */
#define FOREVER 9e15            /* milliseconds that still fit an integer of SQL and of Lua */

static int64_t whole(double ms) { return (int64_t)(ms < FOREVER ? ceil(ms - 1e-6) : FOREVER); }

/* What the bucket holds now; one that is not there is full. */
static dm_db_code look(dm_db *db, int64_t now, dm_view name, double rate, double burst, double *tokens) {
    *tokens = burst;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_BUCKET, "SELECT tokens, at FROM buckets WHERE name = ?1");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, name);
    dm_db_code code = dm_db_step(db, s);
    if (code != DM_DB_ROW) return code;
    double there = sqlite3_column_double(s, 0), passed = (double)(now - sqlite3_column_int64(s, 1));
    if (!(passed > 0)) passed = 0;      /* the clock was set back */
    there += passed * rate / 1000;
    if (there < burst) *tokens = there > 0 ? there : 0;
    return dm_db_step(db, s);
}

dm_db_code dm_bucket_take(dm_db *db, int64_t now, dm_view name, int64_t n, double rate, double burst, int64_t *granted, int64_t *wait_ms) {
    double tokens;
    *granted = *wait_ms = 0;
    dm_db_code code = look(db, now, name, rate, burst, &tokens);
    if (code != DM_DB_OK) return code;
    double take = floor(tokens + LEAST);
    if (take > (double)n) take = (double)n;
    tokens = tokens > take ? tokens - take : 0;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_FILL,
        "INSERT INTO buckets (name, tokens, at, full) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (name) DO UPDATE SET tokens = excluded.tokens, at = excluded.at, full = excluded.full");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, name);
    dm_db_real(db, s, 2, tokens);
    dm_db_int(db, s, 3, now);
    dm_db_int(db, s, 4, whole((double)now + (burst - tokens) * 1000 / rate));
    code = dm_db_step(db, s);
    if (code != DM_DB_OK) return code;
    *granted = (int64_t)take;
    if (*granted < n) *wait_ms = whole((1 - tokens) * 1000 / rate);
    if (*granted < n && *wait_ms < 1) *wait_ms = 1;
    return DM_DB_OK;
}

dm_db_code dm_bucket_reap(dm_db *db, int64_t now, size_t n) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_DRAINED, "DELETE FROM buckets WHERE name IN (SELECT name FROM buckets WHERE full < ?1 LIMIT ?2)");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, now);
    dm_db_int(db, s, 2, (int64_t)n);
    return dm_db_step(db, s);
}
