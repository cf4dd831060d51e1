/* outbox.c: leases, the fence, marks, keys, reaping, twenty crashes, and every allocation that fails. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "alloc.h"

enum { T = 1000000, MINUTE = 60000 };   /* a time, and how long leases last here: milliseconds */

static const dm_view nothing = {NULL, 0};
static place here;
static dm_db *db;

static int set_up(void **state) {
    (void)state;
    place_make(&here);
    db = must_open(here.path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    dm_db_close(db);
    db = NULL;
    place_remove(&here);
    return 0;
}

static dm_job_claim enqueue(const char *key, const char *payload, int64_t due, dm_job *job) {
    dm_job_claim how = DM_CLAIM_OTHER;
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_enqueue(db, T, due, key ? text(key) : nothing, text("hash"), text(payload), &how, job), DM_DB_OK);
    return how;
}

static dm_job_claim claim(int64_t now, const char *hash, bool mark, bool resend, dm_job *job) {
    dm_job_claim how = DM_CLAIM_OTHER;
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_claim(db, now, now + MINUTE, text("key"), text(hash), mark, resend, &how, job), DM_DB_OK);
    return how;
}

static size_t lease(int64_t now, size_t n, dm_job *jobs) {
    size_t got = 0;
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_lease(db, now, now + MINUTE, n, jobs, &got), DM_DB_OK);
    return got;
}

static dm_reaped reap(int64_t now, int64_t before) {
    dm_reaped out = {0};
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_reap(db, now, before, 1000, &out), DM_DB_OK);
    return out;
}

static int64_t count(dm_job_state state) {
    int64_t counts[DM_JOB_STATE_COUNT];
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_counts(db, counts), DM_DB_OK);
    return counts[state];
}

#define EXPECT(code, call) IN_TRANSACTION(db) assert_int_equal(call, code)

/* ---- queue --------------------------------------------------------------------- */

static void a_leased_job_is_nobody_elses_until_its_time_is_over(void **state) {
    (void)state;
    dm_job job, jobs[4];
    dm_view key, payload;
    assert_int_equal(enqueue("a", "hello\0you", T, &job), DM_CLAIM_MADE);
    assert_int_equal(lease(T, 4, jobs), 1);
    assert_int_equal(jobs[0].tries, 1);
    IN_TRANSACTION(db) {
        assert_int_equal(dm_outbox_read(db, jobs[0].id, &key, &payload), DM_DB_OK);
        assert_memory_equal(key.p, "a", 1);
        assert_memory_equal(payload.p, "hello", 5);
    }
    assert_int_equal(lease(T + MINUTE - 1, 4, jobs), 0);
    assert_int_equal(reap(T + MINUTE, 0).waiting, 0);
    assert_int_equal(reap(T + MINUTE + 1, 0).waiting, 1);
    assert_int_equal(lease(T + MINUTE + 1, 4, jobs), 1);
    assert_int_equal(jobs[0].tries, 2);
}

static void the_oldest_come_first_and_the_early_not_at_all(void **state) {
    (void)state;
    dm_job job, jobs[4];
    enqueue("late", "3", T + 300, &job);
    enqueue("middle", "2", T + 200, &job);
    enqueue("early", "1", T + 100, &job);
    assert_int_equal(lease(T + 99, 4, jobs), 0);
    assert_int_equal(lease(T + 250, 1, jobs), 1);
    assert_int_equal(jobs[0].id, job.id);
    assert_int_equal(lease(T + 250, 4, jobs), 1);
    assert_int_equal(lease(T + 300, 4, jobs), 1);
}

static void the_fence_keeps_the_late_worker_out(void **state) {
    (void)state;
    dm_job job, old, new;
    enqueue(NULL, "x", T, &job);
    assert_int_equal(lease(T, 1, &old), 1);
    assert_int_equal(reap(T + 2 * MINUTE, 0).waiting, 1);
    assert_int_equal(lease(T + 2 * MINUTE, 1, &new), 1);
    assert_int_equal(new.id, old.id);
    EXPECT(DM_DB_NO, dm_outbox_mark(db, old.id, old.tries));
    EXPECT(DM_DB_NO, dm_outbox_extend(db, old.id, old.tries, T + 9 * MINUTE));
    EXPECT(DM_DB_NO, dm_outbox_ack(db, old.id, old.tries, T, nothing));
    EXPECT(DM_DB_NO, dm_outbox_retry(db, old.id, old.tries, T, nothing));
    EXPECT(DM_DB_NO, dm_outbox_bury(db, old.id, old.tries, T, DM_JOB_REFUSED, false, nothing));
    EXPECT(DM_DB_OK, dm_outbox_mark(db, new.id, new.tries));
    EXPECT(DM_DB_OK, dm_outbox_ack(db, new.id, new.tries, T, text("{}")));
    EXPECT(DM_DB_NO, dm_outbox_ack(db, new.id, new.tries, T, text("{}")));
    EXPECT(DM_DB_NO, dm_outbox_mark(db, 4711, 1));
}

static void nothing_is_sent_that_was_not_marked(void **state) {
    (void)state;
    dm_job job;
    enqueue(NULL, "x", T, &job);
    lease(T, 1, &job);
    EXPECT(DM_DB_NO, dm_outbox_ack(db, job.id, job.tries, T, nothing));
    EXPECT(DM_DB_OK, dm_outbox_mark(db, job.id, job.tries));
    EXPECT(DM_DB_OK, dm_outbox_mark(db, job.id, job.tries));     /* twice is once */
    EXPECT(DM_DB_OK, dm_outbox_ack(db, job.id, job.tries, T, nothing));
    assert_int_equal(number_of(db, "SELECT count(*) FROM payloads"), 0);
}

static void a_job_that_was_not_sent_is_unmarked(void **state) {
    (void)state;
    dm_job job;
    enqueue(NULL, "x", T, &job);
    lease(T, 1, &job);
    EXPECT(DM_DB_OK, dm_outbox_mark(db, job.id, job.tries));
    EXPECT(DM_DB_OK, dm_outbox_retry(db, job.id, job.tries, T + 500, text("{}")));
    assert_int_equal(count(DM_JOB_WAITING), 1);
    assert_int_equal(reap(T + 9 * MINUTE, 0).unknown, 0);
    assert_int_equal(lease(T + 499, 1, &job), 0);
    assert_int_equal(lease(T + 500, 1, &job), 1);
    assert_int_equal(job.tries, 2);
}

static void a_marked_job_whose_worker_died_is_unknown_and_never_leased(void **state) {
    (void)state;
    dm_job job, other;
    enqueue(NULL, "x", T, &job);
    lease(T, 1, &job);
    EXPECT(DM_DB_OK, dm_outbox_mark(db, job.id, job.tries));
    dm_reaped r = reap(T + 2 * MINUTE, 0);
    assert_int_equal(r.unknown, 1);
    assert_int_equal(r.waiting, 0);
    assert_int_equal(lease(T + 9 * MINUTE, 1, &other), 0);
    assert_int_equal(reap(T + 9 * MINUTE, T + 9 * MINUTE).forgotten, 0);         /* kept until somebody settles it */
    EXPECT(DM_DB_OK, dm_outbox_ack(db, job.id, job.tries, T, nothing));          /* its worker was slow, not dead */
    assert_int_equal(count(DM_JOB_SENT), 1);
}

static void an_unknown_job_that_was_looked_up_goes_again(void **state) {
    (void)state;
    dm_job job;
    enqueue(NULL, "x", T, &job);
    lease(T, 1, &job);
    EXPECT(DM_DB_OK, dm_outbox_mark(db, job.id, job.tries));
    EXPECT(DM_DB_OK, dm_outbox_bury(db, job.id, job.tries, T, DM_JOB_UNKNOWN, false, text("{}")));
    EXPECT(DM_DB_OK, dm_outbox_retry(db, job.id, job.tries, T, nothing));
    assert_int_equal(lease(T, 1, &job), 1);
    assert_int_equal(job.tries, 2);
}

static void extending_moves_the_end_of_the_lease(void **state) {
    (void)state;
    dm_job job;
    enqueue(NULL, "x", T, &job);
    lease(T, 1, &job);
    EXPECT(DM_DB_OK, dm_outbox_extend(db, job.id, job.tries, T + 5 * MINUTE));
    assert_int_equal(reap(T + 4 * MINUTE, 0).waiting, 0);
    assert_int_equal(reap(T + 6 * MINUTE, 0).waiting, 1);
    EXPECT(DM_DB_NO, dm_outbox_extend(db, job.id, job.tries, T + 9 * MINUTE));
}

static void settled_jobs_are_forgotten_in_time_with_their_payloads_and_ids(void **state) {
    (void)state;
    dm_job a, b, jobs[2];
    enqueue("a", "x", T, &a);
    enqueue("b", "y", T, &b);
    lease(T, 2, jobs);
    EXPECT(DM_DB_OK, dm_outbox_bury(db, a.id, 1, T + 10, DM_JOB_REFUSED, false, nothing));
    EXPECT(DM_DB_OK, dm_outbox_bury(db, b.id, 1, T + 20, DM_JOB_NOT_SENT, false, nothing));
    assert_int_equal(reap(T, T + 10).forgotten, 0);
    assert_int_equal(reap(T, T + 11).forgotten, 1);
    assert_int_equal(reap(T, T + 21).forgotten, 1);
    assert_int_equal(number_of(db, "SELECT count(*) FROM payloads"), 0);
    enqueue("a", "again", T, &jobs[0]);
    assert_true(jobs[0].id > b.id);     /* a late worker's id and tries must never fit another job */
}

static void counts_add_up_to_what_was_put_in(void **state) {
    (void)state;
    dm_job job, jobs[5];
    int64_t counts[DM_JOB_STATE_COUNT], sum = 0;
    for (int i = 0; i < 6; i++) enqueue(NULL, "x", T, &job);
    assert_int_equal(lease(T, 5, jobs), 5);
    IN_TRANSACTION(db) {
        for (int i = 0; i < 4; i++) assert_int_equal(dm_outbox_mark(db, jobs[i].id, 1), DM_DB_OK);
        assert_int_equal(dm_outbox_ack(db, jobs[0].id, 1, T, nothing), DM_DB_OK);
        assert_int_equal(dm_outbox_bury(db, jobs[1].id, 1, T, DM_JOB_REFUSED, true, nothing), DM_DB_OK);
        assert_int_equal(dm_outbox_bury(db, jobs[2].id, 1, T, DM_JOB_UNKNOWN, false, nothing), DM_DB_OK);
        assert_int_equal(dm_outbox_counts(db, counts), DM_DB_OK);
    }
    static const int64_t wanted[DM_JOB_STATE_COUNT] = {1, 1, 1, 1, 1, 0, 1};
    for (int i = 0; i < DM_JOB_STATE_COUNT; i++) {
        assert_int_equal(counts[i], wanted[i]);
        sum += counts[i];
    }
    assert_int_equal(sum, 6);
}

/* ---- keys ------------------------------------------------------------------------- */

static void jobs_are_listed_by_state_those_that_have_it_longest_first(void **state) {
    (void)state;
    dm_job job, listed;
    dm_view key;
    sqlite3_stmt *s;
    enqueue("late", "a", T + 20, &job);
    enqueue(NULL, "b", T + 10, &job);
    int64_t id = job.id;
    enqueue("early", "c", T, &job);
    IN_TRANSACTION(db) {
        assert_int_equal(dm_outbox_list(db, DM_JOB_WAITING, 2, &s), DM_DB_OK);
        assert_int_equal(dm_outbox_listed(db, s, &listed, &key), DM_DB_OK);
        assert_int_equal(listed.id, job.id);
        assert_int_equal(listed.due, T);
        assert_int_equal(key.n, 5);
        assert_memory_equal(key.p, "early", 5);
        assert_int_equal(dm_outbox_listed(db, s, &listed, &key), DM_DB_OK);
        assert_int_equal(listed.id, id);
        assert_null(key.p);
        assert_int_equal(dm_outbox_listed(db, s, &listed, &key), DM_DB_NO);
    }
    IN_TRANSACTION(db) {
        assert_int_equal(dm_outbox_list(db, DM_JOB_UNKNOWN, 10, &s), DM_DB_OK);
        assert_int_equal(dm_outbox_listed(db, s, &listed, &key), DM_DB_NO);
    }
}

static void a_key_is_put_in_once(void **state) {
    (void)state;
    dm_job first, second;
    dm_job_claim how;
    assert_int_equal(enqueue("k", "x", T, &first), DM_CLAIM_MADE);
    assert_int_equal(enqueue("k", "x", T, &second), DM_CLAIM_THERE);
    assert_int_equal(first.id, second.id);
    EXPECT(DM_DB_OK, dm_outbox_enqueue(db, T, T, text("k"), text("other"), text("y"), &how, &second));
    assert_int_equal(how, DM_CLAIM_OTHER);
    enqueue(NULL, "x", T, &first);
    enqueue(NULL, "x", T, &second);     /* no key is no key twice */
    assert_true(second.id > first.id);
    assert_int_equal(count(DM_JOB_WAITING), 3);
}

static void a_claimed_key_is_its_claimers_and_no_workers(void **state) {
    (void)state;
    dm_job job, again;
    assert_int_equal(claim(T, "h", false, false, &job), DM_CLAIM_MADE);
    assert_int_equal(job.tries, 1);
    assert_int_equal(claim(T, "h", false, false, &again), DM_CLAIM_THERE);
    assert_int_equal(again.state, DM_JOB_LEASED);
    assert_int_equal(claim(T, "g", false, false, &again), DM_CLAIM_OTHER);
    EXPECT(DM_DB_OK, dm_outbox_retry(db, job.id, job.tries, T, nothing));
    assert_int_equal(lease(T + MINUTE, 1, &again), 0);
}

static void a_sent_key_gives_its_receipt_for_ever(void **state) {
    (void)state;
    dm_job job, again;
    claim(T, "h", true, false, &job);
    EXPECT(DM_DB_OK, dm_outbox_ack(db, job.id, job.tries, T, text("{\"id\":1}")));
    for (int resend = 0; resend < 2; resend++) {
        dm_job_claim how;
        IN_TRANSACTION(db) {
            assert_int_equal(dm_outbox_claim(db, T, T + MINUTE, text("key"), text("h"), true, resend, &how, &again), DM_DB_OK);
            assert_int_equal(how, DM_CLAIM_THERE);
            assert_int_equal(again.state, DM_JOB_SENT);
            assert_int_equal(again.result.n, 8);
            assert_memory_equal(again.result.p, "{\"id\":1}", 8);
        }
    }
}

static void what_was_not_sent_or_refused_for_now_is_claimed_again(void **state) {
    (void)state;
    dm_job job, again;
    claim(T, "h", true, false, &job);
    EXPECT(DM_DB_OK, dm_outbox_bury(db, job.id, job.tries, T, DM_JOB_NOT_SENT, false, text("{}")));
    assert_int_equal(claim(T, "other", true, false, &again), DM_CLAIM_OTHER);
    assert_int_equal(claim(T, "h", true, false, &job), DM_CLAIM_MADE);
    assert_int_equal(job.tries, 2);
    EXPECT(DM_DB_OK, dm_outbox_bury(db, job.id, job.tries, T, DM_JOB_REFUSED, true, text("{}")));
    assert_int_equal(claim(T, "h", true, false, &job), DM_CLAIM_MADE);
    assert_int_equal(job.tries, 3);
    EXPECT(DM_DB_NO, dm_outbox_ack(db, job.id, 2, T, nothing));
    EXPECT(DM_DB_OK, dm_outbox_bury(db, job.id, job.tries, T, DM_JOB_REFUSED, false, text("{}")));
    assert_int_equal(claim(T, "h", true, false, &job), DM_CLAIM_THERE);
    assert_int_equal(job.state, DM_JOB_REFUSED);
}

static void an_unknown_key_is_claimed_with_resend_only(void **state) {
    (void)state;
    dm_job job, again;
    claim(T, "h", true, false, &job);
    EXPECT(DM_DB_OK, dm_outbox_bury(db, job.id, job.tries, T, DM_JOB_UNKNOWN, false, text("{}")));
    assert_int_equal(claim(T + 9 * MINUTE, "h", true, false, &again), DM_CLAIM_THERE);
    assert_int_equal(again.state, DM_JOB_UNKNOWN);
    assert_int_equal(claim(T + 9 * MINUTE, "h", true, true, &again), DM_CLAIM_MADE);
    assert_int_equal(again.tries, 2);
}

static void a_dead_claimer_leaves_unknown_when_marked_and_nothing_when_not(void **state) {
    (void)state;
    dm_job job, again;
    claim(T, "h", false, false, &job);
    assert_int_equal(claim(T + MINUTE, "h", false, false, &again), DM_CLAIM_THERE);          /* its time is not over */
    assert_int_equal(claim(T + MINUTE + 1, "h", false, false, &again), DM_CLAIM_MADE);
    assert_int_equal(again.tries, 2);
    EXPECT(DM_DB_NO, dm_outbox_mark(db, job.id, job.tries));
    EXPECT(DM_DB_OK, dm_outbox_mark(db, again.id, again.tries));
    assert_int_equal(claim(T + 2 * MINUTE + 2, "h", false, false, &job), DM_CLAIM_THERE);
    assert_int_equal(job.state, DM_JOB_UNKNOWN);
    assert_int_equal(count(DM_JOB_UNKNOWN), 1);
    /* the same by reap */
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_retry(db, job.id, 2, T, nothing), DM_DB_OK);
    claim(T, "h", false, false, &job);
    assert_int_equal(reap(T + 2 * MINUTE, 0).not_sent, 1);
    assert_int_equal(claim(T + 2 * MINUTE, "h", false, false, &job), DM_CLAIM_MADE);
}

/* ---- crashes ------------------------------------------------------------------------ */

enum { JOBS = 400, ROUNDS = 20, BATCH = 8, AT_ONCE = 2, WORKERS = 2 };

static bool begin(dm_db *d) {
    dm_db_code code;
    while ((code = dm_db_begin(d)) == DM_DB_BUSY) {}
    return code == DM_DB_OK;
}

/* Tell that a step is over, and wait for leave to go on: who is killed is killed just there. */
static void step(int progress) {
    char c;
    if (write(progress, ".", 1) != 1 || read(progress, &c, 1) != 1) _exit(9);
}

/* What a sender does: lease, mark two, send them, settle them. "Sending" is one line in a file, which is there or not, as with
** a server. One job of seven is not sent at first, one of eleven refused for now. */
static void work(int64_t now, int sent, int progress) {
    dm_db_error why;
    dm_db *mine = NULL;
    do mine = dm_db_open(here.path, &why);
    while (!mine && why.code == DM_DB_BUSY);
    if (!mine) _exit(2);
    for (;;) {
        dm_job jobs[BATCH];
        size_t got;
        if (!begin(mine) || dm_outbox_lease(mine, now, now + MINUTE, BATCH, jobs, &got) != DM_DB_OK || dm_db_commit(mine) != DM_DB_OK) _exit(3);
        if (got == 0) break;
        step(progress);
        for (size_t i = 0; i < got; i += AT_ONCE) {
            size_t end = i + AT_ONCE < got ? i + AT_ONCE : got;
            bool mine_still[AT_ONCE];
            if (!begin(mine)) _exit(4);
            for (size_t k = i; k < end; k++) {
                dm_db_code code = dm_outbox_mark(mine, jobs[k].id, jobs[k].tries);
                if (code != DM_DB_OK && code != DM_DB_NO) _exit(4);
                mine_still[k - i] = code == DM_DB_OK;
            }
            if (dm_db_commit(mine) != DM_DB_OK) _exit(4);
            step(progress);
            for (size_t k = i; k < end; k++) {
                if (!mine_still[k - i] || (jobs[k].id % 7 == 0 && jobs[k].tries == 1)) continue;
                if (write(sent, &jobs[k].id, sizeof jobs[k].id) != sizeof jobs[k].id) _exit(5);
                step(progress);
            }
            if (!begin(mine)) _exit(6);
            for (size_t k = i; k < end; k++) {
                if (!mine_still[k - i]) continue;
                bool left = jobs[k].id % 7 != 0 || jobs[k].tries > 1;
                dm_db_code code = left ? dm_outbox_ack(mine, jobs[k].id, jobs[k].tries, now, text("{}"))
                                       : dm_outbox_retry(mine, jobs[k].id, jobs[k].tries, now, text("{}"));
                if (code != DM_DB_OK) _exit(6);
            }
            if (dm_db_commit(mine) != DM_DB_OK) _exit(6);
            step(progress);
        }
    }
    dm_db_close(mine);
    _exit(0);
}

/* Run the workers beside each other and kill each after some of its steps; 0: let them finish. */
static void round_of_work(int64_t now, int sent, const int kill_after[WORKERS]) {
    pid_t pids[WORKERS];
    int steps[WORKERS] = {0}, running = WORKERS;
    struct pollfd ends[WORKERS];
    for (int w = 0; w < WORKERS; w++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ends[w] = (struct pollfd){.fd = pair[0], .events = POLLIN};
        pids[w] = fork();
        if (pids[w] == 0) {
            for (int k = 0; k <= w; k++) close(ends[k].fd);
            work(now, sent, pair[1]);
        }
        close(pair[1]);
    }
    while (running > 0) {
        assert_true(poll(ends, WORKERS, -1) > 0);
        for (int w = 0; w < WORKERS; w++) {
            char c;
            int status;
            if (ends[w].fd < 0 || ends[w].revents == 0) continue;
            if (read(ends[w].fd, &c, 1) == 1) {
                if (++steps[w] != kill_after[w]) {
                    assert_int_equal(write(ends[w].fd, ".", 1), 1);
                    continue;
                }
                kill(pids[w], SIGKILL);
            }
            assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
            if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
            close(ends[w].fd);
            ends[w].fd = -1;
            running--;
        }
    }
}

static void twenty_crashes_lose_nothing_and_send_nothing_twice(void **state) {
    (void)state;
    char path[320];
    dm_job_claim how;
    dm_job job;
    snprintf(path, sizeof path, "%s/sent", here.folder);
    int sent = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    assert_true(sent >= 0);
    IN_TRANSACTION(db) {
        for (int i = 0; i < JOBS; i++)
            assert_int_equal(dm_outbox_enqueue(db, T, T, nothing, text("h"), text("payload"), &how, &job), DM_DB_OK);
    }
    dm_db_close(db);            /* SQLite's connections do not go over a fork */
    db = NULL;
    int64_t now = T, unknown = 0;
    for (int r = 0; r <= ROUNDS; r++) {
        const int kill_after[WORKERS] = {r < ROUNDS ? 1 + r : 0, r < ROUNDS ? 23 - r : 0};
        now += 2 * MINUTE;
        db = must_open(here.path);
        dm_reaped out = reap(now, 0);
        assert_true(out.unknown <= WORKERS * AT_ONCE);
        unknown += out.unknown;
        dm_db_close(db);
        db = NULL;
        round_of_work(now, sent, kill_after);
    }
    db = must_open(here.path);
    assert_int_equal(count(DM_JOB_UNKNOWN), unknown);
    assert_int_equal(count(DM_JOB_SENT) + unknown, JOBS);       /* nothing is lost */
    assert_true(count(DM_JOB_SENT) > JOBS - ROUNDS * WORKERS * AT_ONCE);
    assert_true(unknown > 0);                                   /* or no crash came at the point that matters */
    static int copies[JOBS + 1];
    int64_t id;
    memset(copies, 0, sizeof copies);
    assert_int_equal(lseek(sent, 0, SEEK_SET), 0);
    while (read(sent, &id, sizeof id) == sizeof id) copies[id]++;
    for (int i = 1; i <= JOBS; i++) assert_true(copies[i] <= 1);        /* nothing is sent twice */
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(db->sql, "SELECT id FROM jobs WHERE state = 3", -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) assert_int_equal(copies[sqlite3_column_int64(s, 0)], 1);
    sqlite3_finalize(s);
    assert_int_equal(number_of(db, "SELECT (SELECT integrity_check FROM pragma_integrity_check) = 'ok'"), 1);
    close(sent);
    unlink(path);
}

/* ---- memory -------------------------------------------------------------------------- */

static void every_allocation_that_fails_fails_the_whole_transaction(void **state) {
    (void)state;
    char key[16];
    int n = 0;
    dm_db_close(db);
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_alloc.armed = false;
        db = must_open(here.path);
        dm_job job = {0}, jobs[2];
        dm_job_claim how;
        dm_view name, payload;
        int64_t counts[DM_JOB_STATE_COUNT], before = number_of(db, "SELECT count(*) FROM jobs");
        dm_reaped out;
        size_t got;
        snprintf(key, sizeof key, "key-%d", n++);
        dm_alloc.armed = true;
        dm_db_code code = dm_db_begin(db);
        if (code == DM_DB_OK) {
            dm_outbox_enqueue(db, T, T, text(key), text("h"), text("payload"), &how, &job);
            dm_outbox_lease(db, T, T + MINUTE, 2, jobs, &got);
            dm_outbox_read(db, job.id, &name, &payload);
            dm_outbox_extend(db, job.id, 1, T + MINUTE);
            dm_outbox_mark(db, job.id, 1);
            dm_outbox_retry(db, job.id, 1, T, text("{}"));
            dm_outbox_lease(db, T, T + MINUTE, 2, jobs, &got);
            dm_outbox_mark(db, job.id, 2);
            dm_outbox_bury(db, job.id, 2, T, DM_JOB_UNKNOWN, false, text("{}"));
            dm_outbox_ack(db, job.id, 2, T, text("{}"));
            dm_outbox_claim(db, T, T + MINUTE, text(key), text("h"), true, false, &how, &job);
            dm_outbox_find(db, text(key), &job);
            dm_outbox_counts(db, counts);
            dm_outbox_reap(db, T, 0, 10, &out);
            code = dm_db_commit(db);
        }
        dm_alloc.armed = false;
        if (code != DM_DB_OK) {
            assert_true(dm_alloc_failed());
            assert_int_equal(code, DM_DB_MEMORY);
            assert_int_equal(number_of(db, "SELECT count(*) FROM jobs"), before);       /* nothing of it happened */
        } else {
            assert_int_equal(number_of(db, "SELECT count(*) FROM jobs WHERE state = 3"), before + 1);
        }
        dm_db_close(db);
        dm_alloc.armed = true;
    }
    db = must_open(here.path);
}

int main(void) {
    use_our_malloc();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_leased_job_is_nobody_elses_until_its_time_is_over),
        TEST(the_oldest_come_first_and_the_early_not_at_all),
        TEST(the_fence_keeps_the_late_worker_out),
        TEST(nothing_is_sent_that_was_not_marked),
        TEST(a_job_that_was_not_sent_is_unmarked),
        TEST(a_marked_job_whose_worker_died_is_unknown_and_never_leased),
        TEST(an_unknown_job_that_was_looked_up_goes_again),
        TEST(extending_moves_the_end_of_the_lease),
        TEST(settled_jobs_are_forgotten_in_time_with_their_payloads_and_ids),
        TEST(counts_add_up_to_what_was_put_in),
        TEST(jobs_are_listed_by_state_those_that_have_it_longest_first),
        TEST(a_key_is_put_in_once),
        TEST(a_claimed_key_is_its_claimers_and_no_workers),
        TEST(a_sent_key_gives_its_receipt_for_ever),
        TEST(what_was_not_sent_or_refused_for_now_is_claimed_again),
        TEST(an_unknown_key_is_claimed_with_resend_only),
        TEST(a_dead_claimer_leaves_unknown_when_marked_and_nothing_when_not),
        TEST(twenty_crashes_lose_nothing_and_send_nothing_twice),
        TEST(every_allocation_that_fails_fails_the_whole_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
