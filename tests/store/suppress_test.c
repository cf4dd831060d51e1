/* suppress.c: no list that is read in can undo what was said before. */
#include "fixture.h"

#include "alloc.h"
#include "suppress.h"

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

static void suppress(const char *reason, const char *source, int64_t at) {
    IN_TRANSACTION(db) assert_int_equal(dm_suppress(db, text("ann@example.com"), text(reason), text(source), at), DM_DB_OK);
}

static void resubscribe(const char *source, int64_t at) {
    IN_TRANSACTION(db) assert_int_equal(dm_resubscribe(db, text("ann@example.com"), text(source), at), DM_DB_OK);
}

/* NULL: may be sent to. */
static void expect(const char *reason, int64_t at) {
    dm_suppression s;
    IN_TRANSACTION(db) {
        dm_db_code code = dm_suppressed(db, text("ann@example.com"), &s);
        assert_int_equal(code, reason ? DM_DB_OK : DM_DB_NO);
        if (reason) {
            assert_int_equal(s.reason.n, strlen(reason));
            assert_memory_equal(s.reason.p, reason, s.reason.n);
            assert_int_equal(s.at, at);
        }
    }
}

static void who_is_not_there_may_be_sent_to(void **state) {
    (void)state;
    dm_suppression s;
    expect(NULL, 0);
    suppress("bounced", "webhook", 100);
    expect("bounced", 100);
    IN_TRANSACTION(db) assert_int_equal(dm_suppressed(db, text("bob@example.com"), &s), DM_DB_NO);
}

static void an_import_neither_overwrites_nor_undoes_anything(void **state) {
    (void)state;
    suppress("unsubscribed", "link", 100);
    for (int again = 0; again < 3; again++) suppress("import", "list.csv", 200 + again);
    expect("unsubscribed", 100);
    assert_int_equal(number_of(db, "SELECT count(*) FROM suppressions"), 2);    /* a list that is read daily does not grow */
    suppress("unsubscribed", "link", 50);       /* an old event that comes late */
    expect("unsubscribed", 100);
}

static void resubscribing_counts_when_it_is_younger_in_any_order(void **state) {
    (void)state;
    suppress("unsubscribed", "link", 100);
    resubscribe("signup form", 99);
    expect("unsubscribed", 100);
    resubscribe("signup form", 100);            /* of the same second the suppression wins */
    expect("unsubscribed", 100);
    resubscribe("signup form", 101);
    expect(NULL, 0);
    suppress("complaint", "webhook", 90);       /* came late, happened before */
    expect(NULL, 0);
    suppress("complaint", "webhook", 102);
    expect("complaint", 102);
    resubscribe("old list", 50);
    expect("complaint", 102);
}

static void every_allocation_that_fails_writes_nothing(void **state) {
    (void)state;
    dm_db_close(db);
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_alloc.armed = false;
        db = must_open(here.path);
        exec_sql(db, "DELETE FROM suppressions; DELETE FROM resubscriptions");
        dm_alloc.armed = true;
        dm_suppression s;
        dm_db_code found = DM_DB_NO, code = dm_db_begin(db);
        if (code == DM_DB_OK) {
            dm_resubscribe(db, text("ann@example.com"), text("form"), 1);
            dm_suppress(db, text("ann@example.com"), text("bounced"), text("webhook"), 2);
            found = dm_suppressed(db, text("ann@example.com"), &s);
            code = dm_db_commit(db);
        }
        dm_alloc.armed = false;
        if (code == DM_DB_OK) assert_int_equal(found, DM_DB_OK);
        else assert_true(dm_alloc_failed() && code == DM_DB_MEMORY);
        assert_int_equal(number_of(db, "SELECT (SELECT count(*) FROM suppressions) + (SELECT count(*) FROM resubscriptions)"),
                         code == DM_DB_OK ? 2 : 0);
        dm_db_close(db);
        dm_alloc.armed = true;
    }
    db = must_open(here.path);
}

static void the_list_has_each_address_once_with_the_reason_that_holds(void **state) {
    static const char *const wanted[][2] = {{"ann@example.com", "unsubscribed"}, {"bob@example.com", "bounced"}, {"dora@example.com", "complaint"}};
    (void)state;
    suppress("unsubscribed", "link", 100);
    suppress("bounced", "events", 200);
    IN_TRANSACTION(db) {
        assert_int_equal(dm_suppress(db, text("dora@example.com"), text("complaint"), text("events"), 5), DM_DB_OK);
        assert_int_equal(dm_suppress(db, text("bob@example.com"), text("bounced"), text("events"), 7), DM_DB_OK);
        assert_int_equal(dm_suppress(db, text("carl@example.com"), text("bounced"), text("events"), 7), DM_DB_OK);
        assert_int_equal(dm_resubscribe(db, text("carl@example.com"), text("form"), 8), DM_DB_OK);
    }
    for (size_t page = 1; page <= 4; page++) {          /* whatever a page holds, nobody is left out or told twice */
        char after[64] = "";
        size_t n = 0, got;
        do {
            got = 0;
            IN_TRANSACTION(db) {
                sqlite3_stmt *q;
                dm_view address;
                dm_suppression s;
                assert_int_equal(dm_suppressions(db, text(after), page, &q), DM_DB_OK);
                dm_db_code code;
                while ((code = dm_suppressions_next(db, q, &address, &s)) == DM_DB_OK) {
                    assert_true(n < 3 && got < page);
                    assert_memory_equal(address.p, wanted[n][0], strlen(wanted[n][0]));
                    assert_memory_equal(s.reason.p, wanted[n][1], strlen(wanted[n][1]));
                    memcpy(after, address.p, address.n);
                    after[address.n] = '\0';
                    n++;
                    got++;
                }
                assert_int_equal(code, DM_DB_NO);
            }
        } while (got > 0);
        assert_int_equal(n, 3);
    }
}

int main(void) {
    use_our_malloc();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(who_is_not_there_may_be_sent_to),
        TEST(an_import_neither_overwrites_nor_undoes_anything),
        TEST(resubscribing_counts_when_it_is_younger_in_any_order),
        TEST(the_list_has_each_address_once_with_the_reason_that_holds),
        TEST(every_allocation_that_fails_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
