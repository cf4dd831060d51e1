/* bucket.c: never more than burst and rate allow, whatever the clock does and however many processes take. */
#include "fixture.h"

#include <sys/wait.h>

#include "alloc.h"
#include "bucket.h"

enum { T = 1000000 };

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
    place_remove(&here);
    return 0;
}

static void take(int64_t now, int64_t n, double rate, double burst, int64_t granted, int64_t wait_ms) {
    int64_t g, w;
    IN_TRANSACTION(db) assert_int_equal(dm_bucket_take(db, now, text("smtp"), n, rate, burst, &g, &w), DM_DB_OK);
    if (g != granted || w != wait_ms) fail_msg("%lld granted, %lld ms instead of %lld, %lld", (long long)g, (long long)w, (long long)granted, (long long)wait_ms);
}

static void a_full_bucket_gives_its_burst_and_then_the_rate(void **state) {
    (void)state;
    take(T, 3, 10, 5, 3, 0);
    take(T, 4, 10, 5, 2, 100);          /* as many as there are */
    take(T, 1, 10, 5, 0, 100);
    take(T + 99, 1, 10, 5, 0, 1);
    take(T + 100, 1, 10, 5, 1, 0);
    take(T + 100000, 9, 10, 5, 5, 100); /* it holds no more than its burst */
}

static void asking_early_costs_nothing(void **state) {
    (void)state;
    take(T, 1, 1, 1, 1, 0);
    for (int ms = 0; ms < 1000; ms += 7) take(T + ms, 1, 1, 1, 0, 1000 - ms);
    take(T + 1000, 1, 1, 1, 1, 0);
}

static void rates_below_one_wait_long(void **state) {
    (void)state;
    take(T, 1, 1.0 / 3600, 1, 1, 0);
    take(T, 1, 1.0 / 3600, 1, 0, 3600000);
    take(T + 3600000, 1, 1.0 / 3600, 1, 1, 0);
}

static void a_clock_that_is_set_back_gives_and_takes_nothing(void **state) {
    (void)state;
    take(T, 5, 10, 5, 5, 0);
    take(T - 500000, 1, 10, 5, 0, 100);
    take(T - 500000 + 100, 1, 10, 5, 1, 0);
}

static void buckets_with_other_names_are_others(void **state) {
    (void)state;
    int64_t g, w;
    take(T, 1, 1, 1, 1, 0);
    IN_TRANSACTION(db) assert_int_equal(dm_bucket_take(db, T, text("api"), 1, 1, 1, &g, &w), DM_DB_OK);
    assert_int_equal(g, 1);
}

static void only_full_buckets_are_forgotten(void **state) {
    (void)state;
    take(T, 5, 1, 10, 5, 0);            /* full again after 5 s */
    IN_TRANSACTION(db) assert_int_equal(dm_bucket_reap(db, T + 5000, 10), DM_DB_OK);
    assert_int_equal(number_of(db, "SELECT count(*) FROM buckets"), 1);
    IN_TRANSACTION(db) assert_int_equal(dm_bucket_reap(db, T + 5001, 10), DM_DB_OK);
    assert_int_equal(number_of(db, "SELECT count(*) FROM buckets"), 0);
    take(T + 5001, 10, 1, 10, 10, 0);
}

static void processes_share_one_bucket(void **state) {
    (void)state;
    enum { PROCESSES = 4, BURST = 100 };
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    dm_db_close(db);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0) continue;
        dm_db_error why;
        int64_t g, w, all = 0;
        dm_db *mine = dm_db_open(here.path, &why);
        for (int k = 0; mine && k < BURST; k++) {
            while (dm_db_begin(mine) == DM_DB_BUSY) {}
            if (dm_bucket_take(mine, T, text("smtp"), 1, 1, BURST, &g, &w) != DM_DB_OK || dm_db_commit(mine) != DM_DB_OK) _exit(1);
            all += g;
        }
        dm_db_close(mine);
        _exit(mine && write(ends[1], &all, sizeof all) == sizeof all ? 0 : 1);
    }
    int64_t all = 0, part;
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        wait(&status);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], &part, sizeof part), sizeof part);
        all += part;
    }
    assert_int_equal(all, BURST);
    close(ends[0]);
    close(ends[1]);
    db = must_open(here.path);
}

static void every_allocation_that_fails_takes_nothing(void **state) {
    (void)state;
    dm_db_close(db);
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_alloc.armed = false;
        db = must_open(here.path);
        exec_sql(db, "DELETE FROM buckets");
        dm_alloc.armed = true;
        int64_t g, w;
        dm_db_code code = dm_db_begin(db);
        if (code == DM_DB_OK) {
            dm_bucket_take(db, T, text("smtp"), 1, 1, 2, &g, &w);
            dm_bucket_reap(db, T, 10);
            code = dm_db_commit(db);
        }
        dm_alloc.armed = false;
        if (code != DM_DB_OK) assert_true(dm_alloc_failed() && code == DM_DB_MEMORY);
        assert_int_equal(number_of(db, "SELECT count(*) FROM buckets"), code == DM_DB_OK);
        dm_db_close(db);
        dm_alloc.armed = true;
    }
    db = must_open(here.path);
}

int main(void) {
    use_our_malloc();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_full_bucket_gives_its_burst_and_then_the_rate),
        TEST(asking_early_costs_nothing),
        TEST(rates_below_one_wait_long),
        TEST(a_clock_that_is_set_back_gives_and_takes_nothing),
        TEST(buckets_with_other_names_are_others),
        TEST(only_full_buckets_are_forgotten),
        TEST(processes_share_one_bucket),
        TEST(every_allocation_that_fails_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
