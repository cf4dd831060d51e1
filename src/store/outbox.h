/*
** outbox.h - jobs: leased by one worker at a time, marked before they are pushed, settled once.
** A lease hands out the number of the attempt with the job. Whatever is done with the job later names that number, and does
** nothing (DM_DB_NO) when another has leased it since: the fence. All calls stand between dm_db_begin() and dm_db_commit().
*/
#ifndef DM_STORE_OUTBOX_H
#define DM_STORE_OUTBOX_H

#include "db.h"

#define DM_JOB_STATES(X)        \
    X(WAITING, "waiting")       \
    X(LEASED, "leased")         \
    X(MARKED, "marked")         \
    X(SENT, "sent")             \
    X(REFUSED, "refused")       \
    X(NOT_SENT, "not_sent")     \
    X(UNKNOWN, "unknown")

typedef enum dm_job_state {
#define DM_X(name, word) DM_JOB_##name,
    DM_JOB_STATES(DM_X)
#undef DM_X
    DM_JOB_STATE_COUNT
} dm_job_state;

/* What became of a key that somebody brought. */
typedef enum dm_job_claim {
    DM_CLAIM_MADE,              /* nobody had it: the job is the caller's */
    DM_CLAIM_THERE,             /* the same mail is in the store: its state and result tell how it went */
    DM_CLAIM_OTHER,             /* the key belongs to a mail with other content */
} dm_job_claim;

typedef struct dm_job {
    int64_t      id, tries;
    dm_job_state state;
    int64_t      due, made;     /* due: waiting: not before; leased, marked: until; settled: since */
    dm_view      result;        /* alive until the next call; p is NULL: none */
} dm_job;

/* A job whose payload waits for a worker from 'due' on. 'key' may be without p. */
dm_db_code dm_outbox_enqueue(dm_db *db, int64_t now, int64_t due, dm_view key, dm_view hash, dm_view payload, dm_job_claim *how, dm_job *job);

/* A key whose mail the caller carries himself, leased until 'until', or marked at once. What was not sent, or refused for now,
** is claimed again; with 'resend' what is unknown, too. An attempt whose lease is over is settled on the way, as by reap. */
dm_db_code dm_outbox_claim(dm_db *db, int64_t now, int64_t until, dm_view key, dm_view hash, bool mark, bool resend,
                           dm_job_claim *how, dm_job *job);

dm_db_code dm_outbox_find(dm_db *db, dm_view key, dm_job *job);         /* DM_DB_NO: no such key */

/* Up to 'n' jobs of a state, those that have it longest first; each call of dm_outbox_listed() is one of them, alive until the
** next; DM_DB_NO: there is none any more. */
dm_db_code dm_outbox_list(dm_db *db, dm_job_state state, size_t n, sqlite3_stmt **s);
dm_db_code dm_outbox_listed(dm_db *db, sqlite3_stmt *s, dm_job *job, dm_view *key);

/* Lease up to 'n' jobs, the oldest first: ids and tries in 'jobs', how many in 'got'. */
dm_db_code dm_outbox_lease(dm_db *db, int64_t now, int64_t until, size_t n, dm_job *jobs, size_t *got);
/* Key and payload of a job, alive until the next call. */
dm_db_code dm_outbox_read(dm_db *db, int64_t id, dm_view *key, dm_view *payload);

dm_db_code dm_outbox_extend(dm_db *db, int64_t id, int64_t tries, int64_t until);
/* It is about to be pushed: from now on a crash makes it unknown. */
dm_db_code dm_outbox_mark(dm_db *db, int64_t id, int64_t tries);
/* Sent. Also for an unknown one, when its own worker comes late or a person has looked it up. */
dm_db_code dm_outbox_ack(dm_db *db, int64_t id, int64_t tries, int64_t now, dm_view result);
/* Nothing of it left, or it was refused for now: unmarked, and tried again from 'due' on. */
dm_db_code dm_outbox_retry(dm_db *db, int64_t id, int64_t tries, int64_t due, dm_view result);
/* Settled without success: DM_JOB_REFUSED ('again': the same key may be tried again), DM_JOB_NOT_SENT or DM_JOB_UNKNOWN. */
dm_db_code dm_outbox_bury(dm_db *db, int64_t id, int64_t tries, int64_t now, dm_job_state state, bool again, dm_view result);

typedef struct dm_reaped {
    int64_t waiting, not_sent, unknown, forgotten;
} dm_reaped;

/* Settle up to 'n' jobs whose lease is over: those marked are unknown, others wait again. Forget up to 'n' that were settled
** before 'before'; unknown ones stay. */
dm_db_code dm_outbox_reap(dm_db *db, int64_t now, int64_t before, size_t n, dm_reaped *out);

dm_db_code dm_outbox_counts(dm_db *db, int64_t counts[DM_JOB_STATE_COUNT]);

#endif
