/* outbox.c - jobs: leased by one worker at a time, marked before they are pushed, settled once. */
#include "outbox.h"

#include <string.h>

/* The states as SQL has them. */
#define WAITING "0"
#define LEASED "1"
#define MARKED "2"
#define SENT "3"
#define REFUSED "4"
#define NOT_SENT "5"
#define UNKNOWN "6"
_Static_assert(DM_JOB_WAITING == 0 && DM_JOB_LEASED == 1 && DM_JOB_MARKED == 2 && DM_JOB_SENT == 3 && DM_JOB_REFUSED == 4 &&
               DM_JOB_NOT_SENT == 5 && DM_JOB_UNKNOWN == 6, "files hold these numbers");

/* What a lease that is over leaves behind: a marked job may have left, a queued one waits again, and one that its owner was
** to carry himself is settled. */
#define AFTER_LEASE "CASE WHEN state = " MARKED " THEN " UNKNOWN " WHEN queued THEN " WAITING " ELSE " NOT_SENT " END"

/* ---- keys --------------------------------------------------------------------- */

typedef struct row {
    dm_job  job;
    dm_view hash;
    bool    queued, again;
} row;

static dm_db_code insert(dm_db *db, int64_t now, int64_t due, dm_view key, dm_view hash, dm_job_state state, bool queued, dm_job *job) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_INSERT,
        "INSERT INTO jobs (key, hash, state, tries, due, made, queued) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        " ON CONFLICT (key) DO NOTHING");        /* RETURNING would make a temporary table for each row */
    if (!s) return db->error.code;
    *job = (dm_job){.tries = queued ? 0 : 1, .state = state, .due = due, .made = now};
    dm_db_text(db, s, 1, key);
    dm_db_text(db, s, 2, hash);
    dm_db_int(db, s, 3, state);
    dm_db_int(db, s, 4, job->tries);
    dm_db_int(db, s, 5, due);
    dm_db_int(db, s, 6, now);
    dm_db_int(db, s, 7, queued);
    dm_db_code code = dm_db_change(db, s);      /* DM_DB_NO: the key is there */
    job->id = sqlite3_last_insert_rowid(db->sql);
    return code;
}

/* The first six columns: id, tries, state, due, made, result. */
static void read_job(dm_db *db, sqlite3_stmt *s, dm_job *job) {
    *job = (dm_job){
        .id = sqlite3_column_int64(s, 0), .tries = sqlite3_column_int64(s, 1), .state = (dm_job_state)sqlite3_column_int(s, 2),
        .due = sqlite3_column_int64(s, 3), .made = sqlite3_column_int64(s, 4), .result = dm_db_column(db, s, 5),
    };
    if ((unsigned)job->state >= DM_JOB_STATE_COUNT) dm_db_damaged(db, "a job has a state that there is not");
}

static dm_db_code find(dm_db *db, dm_view key, row *out) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_BY_KEY,
        "SELECT id, tries, state, due, made, result, hash, queued, again FROM jobs WHERE key = ?1");
    if (!s) return db->error.code;
    dm_db_text(db, s, 1, key);
    dm_db_code code = dm_db_step(db, s);
    if (code == DM_DB_OK) return DM_DB_NO;
    if (code != DM_DB_ROW) return code;
    read_job(db, s, &out->job);
    out->hash = dm_db_column(db, s, 6);
    out->queued = sqlite3_column_int(s, 7) != 0;
    out->again = sqlite3_column_int(s, 8) != 0;
    return db->error.code;
}

dm_db_code dm_outbox_list(dm_db *db, dm_job_state state, size_t n, sqlite3_stmt **s) {
    *s = dm_db_statement(db, DM_SQL_LIST,
        "SELECT id, tries, state, due, made, result, key FROM jobs WHERE state = ?1 ORDER BY due, id LIMIT ?2");
    if (!*s) return db->error.code;
    dm_db_int(db, *s, 1, state);
    dm_db_int(db, *s, 2, (int64_t)n);
    return db->error.code;
}

dm_db_code dm_outbox_listed(dm_db *db, sqlite3_stmt *s, dm_job *job, dm_view *key) {
    dm_db_code code = dm_db_step(db, s);
    if (code != DM_DB_ROW) return code == DM_DB_OK ? DM_DB_NO : code;
    read_job(db, s, job);
    *key = dm_db_column(db, s, 6);
    return db->error.code;
}

dm_db_code dm_outbox_find(dm_db *db, dm_view key, dm_job *job) {
    row r;
    dm_db_code code = find(db, key, &r);
    if (code == DM_DB_OK) *job = r.job;
    return code;
}

static bool same(dm_view a, dm_view b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }

/* The row of a key that is there. */
static dm_db_code there(dm_db *db, dm_view key, dm_view hash, dm_job_claim *how, row *r) {
    dm_db_code code = find(db, key, r);
    if (code == DM_DB_OK) *how = same(hash, r->hash) ? DM_CLAIM_THERE : DM_CLAIM_OTHER;
    return code;
}

dm_db_code dm_outbox_enqueue(dm_db *db, int64_t now, int64_t due, dm_view key, dm_view hash, dm_view payload, dm_job_claim *how, dm_job *job) {
    row r;
    *how = DM_CLAIM_MADE;
    dm_db_code code = insert(db, now, due, key, hash, DM_JOB_WAITING, true, job);
    if (code == DM_DB_NO) {
        code = there(db, key, hash, how, &r);
        if (code == DM_DB_OK) *job = r.job;
        return code;
    }
    if (code != DM_DB_OK) return code;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_PAYLOAD, "INSERT INTO payloads (id, body) VALUES (?1, ?2)");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, job->id);
    dm_db_blob(db, s, 2, (dm_view){payload.p ? payload.p : "", payload.n});
    return dm_db_step(db, s);
}

/* May the caller of a key have this attempt? */
static bool free_again(const row *r, int64_t now, bool resend) {
    const dm_job *job = &r->job;
    if (r->queued) return false;        /* the workers' */
    if (job->state == DM_JOB_NOT_SENT || (job->state == DM_JOB_REFUSED && r->again)) return true;
    if (job->state == DM_JOB_LEASED) return job->due < now;     /* its owner died before he pushed it */
    return job->state == DM_JOB_UNKNOWN && resend;
}

dm_db_code dm_outbox_claim(dm_db *db, int64_t now, int64_t until, dm_view key, dm_view hash, bool mark, bool resend,
                           dm_job_claim *how, dm_job *job) {
    row r;
    dm_job_state state = mark ? DM_JOB_MARKED : DM_JOB_LEASED;
    *how = DM_CLAIM_MADE;
    dm_db_code code = insert(db, now, until, key, hash, state, false, job);
    if (code != DM_DB_NO) return code;
    code = there(db, key, hash, how, &r);
    if (code != DM_DB_OK) return code;
    bool died = r.job.state == DM_JOB_MARKED && r.job.due < now && *how == DM_CLAIM_THERE;
    if (died) r.job.state = DM_JOB_UNKNOWN;
    bool taken = *how == DM_CLAIM_THERE && free_again(&r, now, resend);
    *job = r.job;
    if (!died && !taken) return DM_DB_OK;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_AGAIN, "UPDATE jobs SET state = ?2, tries = ?3, due = ?4, again = 0, result = NULL WHERE id = ?1");
    if (!s) return db->error.code;
    job->result = (dm_view){NULL, 0};
    if (taken) {
        *how = DM_CLAIM_MADE;
        job->tries++;
        job->state = state;
    }
    job->due = taken ? until : now;
    dm_db_int(db, s, 1, job->id);
    dm_db_int(db, s, 2, job->state);
    dm_db_int(db, s, 3, job->tries);
    dm_db_int(db, s, 4, job->due);
    return dm_db_step(db, s);
}

/* ---- leases --------------------------------------------------------------------- */

dm_db_code dm_outbox_lease(dm_db *db, int64_t now, int64_t until, size_t n, dm_job *jobs, size_t *got) {
    *got = 0;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_LEASE,
        "UPDATE jobs SET state = " LEASED ", tries = tries + 1, due = ?2 WHERE id IN"
        " (SELECT id FROM jobs WHERE state = " WAITING " AND due <= ?1 ORDER BY due, id LIMIT ?3) RETURNING id, tries");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, now);
    dm_db_int(db, s, 2, until);
    dm_db_int(db, s, 3, (int64_t)n);
    dm_db_code code;
    while ((code = dm_db_step(db, s)) == DM_DB_ROW && *got < n)
        jobs[(*got)++] = (dm_job){.id = sqlite3_column_int64(s, 0), .tries = sqlite3_column_int64(s, 1), .state = DM_JOB_LEASED, .due = until};
    return code;
}

dm_db_code dm_outbox_read(dm_db *db, int64_t id, dm_view *key, dm_view *payload) {
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_READ, "SELECT key, body FROM jobs JOIN payloads USING (id) WHERE id = ?1");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, id);
    dm_db_code code = dm_db_step(db, s);
    if (code == DM_DB_OK) return dm_db_damaged(db, "a job has no payload");
    if (code != DM_DB_ROW) return code;
    *key = dm_db_column(db, s, 0);
    *payload = dm_db_column(db, s, 1);
    return db->error.code;
}

/* A statement whose first two parameters are the attempt. */
static sqlite3_stmt *of_attempt(dm_db *db, dm_db_slot slot, const char *text, int64_t id, int64_t tries) {
    sqlite3_stmt *s = dm_db_statement(db, slot, text);
    if (!s) return NULL;
    dm_db_int(db, s, 1, id);
    dm_db_int(db, s, 2, tries);
    return s;
}

dm_db_code dm_outbox_extend(dm_db *db, int64_t id, int64_t tries, int64_t until) {
    sqlite3_stmt *s = of_attempt(db, DM_SQL_EXTEND,
        "UPDATE jobs SET due = ?3 WHERE id = ?1 AND tries = ?2 AND state IN (" LEASED ", " MARKED ")", id, tries);
    if (!s) return db->error.code;
    dm_db_int(db, s, 3, until);
    return dm_db_change(db, s);
}

dm_db_code dm_outbox_mark(dm_db *db, int64_t id, int64_t tries) {
    sqlite3_stmt *s = of_attempt(db, DM_SQL_MARK,
        "UPDATE jobs SET state = " MARKED " WHERE id = ?1 AND tries = ?2 AND state IN (" LEASED ", " MARKED ")", id, tries);
    return s ? dm_db_change(db, s) : db->error.code;
}

dm_db_code dm_outbox_ack(dm_db *db, int64_t id, int64_t tries, int64_t now, dm_view result) {
    sqlite3_stmt *s = of_attempt(db, DM_SQL_ACK,
        "UPDATE jobs SET state = " SENT ", due = ?3, result = ?4 WHERE id = ?1 AND tries = ?2 AND state IN (" MARKED ", " UNKNOWN ")",
        id, tries);
    if (!s) return db->error.code;
    dm_db_int(db, s, 3, now);
    dm_db_text(db, s, 4, result);
    dm_db_code code = dm_db_change(db, s);
    if (code != DM_DB_OK) return code;
    s = dm_db_statement(db, DM_SQL_EMPTY, "DELETE FROM payloads WHERE id = ?1");   /* nobody needs the recipient's data any more */
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, id);
    return dm_db_step(db, s);
}

dm_db_code dm_outbox_retry(dm_db *db, int64_t id, int64_t tries, int64_t due, dm_view result) {
    sqlite3_stmt *s = of_attempt(db, DM_SQL_RETRY,
        "UPDATE jobs SET state = CASE WHEN queued THEN " WAITING " ELSE " NOT_SENT " END, due = ?3, again = 0, result = ?4"
        " WHERE id = ?1 AND tries = ?2 AND state NOT IN (" WAITING ", " SENT ")", id, tries);
    if (!s) return db->error.code;
    dm_db_int(db, s, 3, due);
    dm_db_text(db, s, 4, result);
    return dm_db_change(db, s);
}

dm_db_code dm_outbox_bury(dm_db *db, int64_t id, int64_t tries, int64_t now, dm_job_state state, bool again, dm_view result) {
    sqlite3_stmt *s = of_attempt(db, DM_SQL_BURY,
        "UPDATE jobs SET state = ?3, due = ?4, again = ?5, result = ?6"
        " WHERE id = ?1 AND tries = ?2 AND state IN (" WAITING ", " LEASED ", " MARKED ", " UNKNOWN ")", id, tries);
    if (!s) return db->error.code;
    dm_db_int(db, s, 3, state);
    dm_db_int(db, s, 4, now);
    dm_db_int(db, s, 5, again);
    dm_db_text(db, s, 6, result);
    return dm_db_change(db, s);
}

/* ---- the whole store --------------------------------------------------------------- */

dm_db_code dm_outbox_reap(dm_db *db, int64_t now, int64_t before, size_t n, dm_reaped *out) {
    *out = (dm_reaped){0};
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_REAP,
        "UPDATE jobs SET state = " AFTER_LEASE ", due = ?1 WHERE id IN"
        " (SELECT id FROM jobs WHERE state IN (" LEASED ", " MARKED ") AND due < ?1 LIMIT ?2) RETURNING state");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, now);
    dm_db_int(db, s, 2, (int64_t)n);
    dm_db_code code;
    while ((code = dm_db_step(db, s)) == DM_DB_ROW) {
        int state = sqlite3_column_int(s, 0);
        *(state == DM_JOB_WAITING ? &out->waiting : state == DM_JOB_UNKNOWN ? &out->unknown : &out->not_sent) += 1;
    }
    if (code != DM_DB_OK) return code;
    s = dm_db_statement(db, DM_SQL_FORGET, "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN (" SENT ", " REFUSED ", " NOT_SENT
        ") AND due < ?1 LIMIT ?2)");
    if (!s) return db->error.code;
    dm_db_int(db, s, 1, before);
    dm_db_int(db, s, 2, (int64_t)n);
    code = dm_db_change(db, s);
    if (code == DM_DB_OK) out->forgotten = sqlite3_changes(db->sql);
    return code == DM_DB_NO ? DM_DB_OK : code;
}

dm_db_code dm_outbox_counts(dm_db *db, int64_t counts[DM_JOB_STATE_COUNT]) {
    for (int i = 0; i < DM_JOB_STATE_COUNT; i++) counts[i] = 0;
    sqlite3_stmt *s = dm_db_statement(db, DM_SQL_COUNT, "SELECT state, count(*) FROM jobs GROUP BY state");
    if (!s) return db->error.code;
    dm_db_code code;
    while ((code = dm_db_step(db, s)) == DM_DB_ROW) {
        int state = sqlite3_column_int(s, 0);
        if (state >= 0 && state < DM_JOB_STATE_COUNT) counts[state] = sqlite3_column_int64(s, 1);
    }
    return code;
}
