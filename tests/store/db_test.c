/* db.c: whose file it is, what becomes of a full disk, a lock, a fork and damage, and every allocation that fails. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "alloc.h"

static place here;

static int set_up(void **state) {
    (void)state;
    place_make(&here);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    place_remove(&here);
    return 0;
}

static void write_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void refused(const char *path, dm_db_code code, const char *words) {
    dm_db_error why;
    assert_null(dm_db_open(path, &why));
    if (why.code != code || !strstr(why.words, words)) fail_msg("%d \"%s\" instead of %d \"%s\"", why.code, why.words, code, words);
}

static void put(dm_db *db, const char *key) {
    dm_job_claim how;
    dm_job job;
    dm_outbox_enqueue(db, 1, 1, text(key), text("h"), text("payload"), &how, &job);
}

static void a_new_file_is_its_owners_alone_whatever_the_umask(void **state) {
    (void)state;
    mode_t before = umask(0);
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "a");
    umask(before);
    char path[320];
    const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        struct stat info;
        snprintf(path, sizeof path, "%s%s", here.path, ends[i]);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0600);
    }
    assert_int_equal(number_of(db, "PRAGMA synchronous"), 2);
    dm_db_close(db);
    dm_db_close(NULL);
}

static void what_was_committed_is_there_after_opening_again(void **state) {
    (void)state;
    dm_job job;
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "kept");
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    put(db, "given up");
    dm_db_close(db);
    db = must_open(here.path);
    IN_TRANSACTION(db) {
        assert_int_equal(dm_outbox_find(db, text("kept"), &job), DM_DB_OK);
        assert_int_equal(dm_outbox_find(db, text("given up"), &job), DM_DB_NO);
    }
    dm_db_close(db);
}

static void a_begin_gives_up_what_an_earlier_one_left_open(void **state) {
    (void)state;
    dm_job job;
    dm_db *db = must_open(here.path);
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    put(db, "left");
    IN_TRANSACTION(db) put(db, "right");
    IN_TRANSACTION(db) {
        assert_int_equal(dm_outbox_find(db, text("left"), &job), DM_DB_NO);
        assert_int_equal(dm_outbox_find(db, text("right"), &job), DM_DB_OK);
    }
    dm_db_close(db);
}

static void no_other_file_is_touched(void **state) {
    (void)state;
    static const char mail[] = "Subject: this is no database, and it is longer than the head of one, which has a hundred octets in it.\r\n\r\nHello\r\n";
    char seen[sizeof mail];
    write_file(here.path, mail, sizeof mail);
    refused(here.path, DM_DB_FOREIGN, "not a database");
    FILE *f = fopen(here.path, "rb");
    assert_int_equal(fread(seen, 1, sizeof seen, f), sizeof mail);
    fclose(f);
    assert_memory_equal(seen, mail, sizeof mail);
    refused(here.folder, DM_DB_FOREIGN, "no regular file");
    char path[320];
    snprintf(path, sizeof path, "%s/no/such/folder", here.folder);
    refused(path, DM_DB_IO, "No such file");
}

static void a_database_of_another_application_is_left_alone(void **state) {
    (void)state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(here.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE jobs (id)", NULL, NULL, NULL), SQLITE_OK);
    refused(here.path, DM_DB_FOREIGN, "another application");
    assert_int_equal(sqlite3_exec(other, "PRAGMA application_id = 0x47504b47; DROP TABLE jobs", NULL, NULL, NULL), SQLITE_OK);
    refused(here.path, DM_DB_FOREIGN, "another application");
    sqlite3_close(other);
    other = NULL;
    assert_int_equal(sqlite3_open(here.path, &other), SQLITE_OK);
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(other, "PRAGMA journal_mode", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(s, 0), "delete");     /* and not WAL */
    sqlite3_finalize(s);
    sqlite3_close(other);
}

static void a_newer_schema_is_refused_by_its_number(void **state) {
    (void)state;
    dm_db *db = must_open(here.path);
    exec_sql(db, "PRAGMA user_version = 7");
    dm_db_close(db);
    refused(here.path, DM_DB_NEWER, "version 7");
}

static void an_empty_file_becomes_a_store(void **state) {
    (void)state;
    write_file(here.path, "", 0);
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "a");
    dm_db_close(db);
}

static void a_store_without_its_tables_is_damaged(void **state) {
    (void)state;
    dm_db *db = must_open(here.path);
    exec_sql(db, "DROP TABLE payloads; DROP TABLE jobs");
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    put(db, "a");
    assert_int_equal(dm_db_commit(db), DM_DB_CORRUPT);
    assert_non_null(strstr(db->error.words, "no such table"));
    dm_db_close(db);
}

static void damaged_pages_are_found_when_they_are_read(void **state) {
    (void)state;
    dm_db *db = must_open(here.path);
    char key[16];
    IN_TRANSACTION(db) {
        for (int i = 0; i < 500; i++) {
            snprintf(key, sizeof key, "%d", i);
            put(db, key);
        }
    }
    dm_db_close(db);            /* the log goes into the file */
    struct stat info;
    assert_int_equal(stat(here.path, &info), 0);
    int fd = open(here.path, O_WRONLY);
    char rubbish[4096];
    memset(rubbish, 0xa5, sizeof rubbish);
    for (off_t at = 4096; at < info.st_size; at += 4096) assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, at), sizeof rubbish);
    close(fd);
    db = must_open(here.path);
    dm_job job;
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    assert_int_equal(dm_outbox_find(db, text("3"), &job), DM_DB_CORRUPT);
    assert_int_equal(dm_db_commit(db), DM_DB_CORRUPT);
    dm_db_close(db);
}

static void a_state_that_there_is_not_is_damage(void **state) {
    (void)state;
    dm_job job;
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "a");
    exec_sql(db, "PRAGMA ignore_check_constraints = ON; UPDATE jobs SET state = 99");
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    assert_int_equal(dm_outbox_find(db, text("a"), &job), DM_DB_CORRUPT);
    assert_int_equal(dm_db_commit(db), DM_DB_CORRUPT);
    dm_db_close(db);
}

static void a_full_disk_undoes_the_whole_transaction(void **state) {
    (void)state;
    int64_t counts[DM_JOB_STATE_COUNT];
    char *large = calloc(1, 100000);
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "before");
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %lld", (long long)number_of(db, "PRAGMA page_count") + 4);
    exec_sql(db, limit);
    dm_job_claim how;
    dm_job job;
    assert_int_equal(dm_db_begin(db), DM_DB_OK);
    put(db, "small");
    assert_int_equal(dm_outbox_enqueue(db, 1, 1, text("large"), text("h"), (dm_view){large, 100000}, &how, &job), DM_DB_FULL);
    put(db, "after");           /* nothing more is done in this one */
    assert_int_equal(dm_db_commit(db), DM_DB_FULL);
    assert_non_null(strstr(db->error.words, "full"));
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_counts(db, counts), DM_DB_OK);
    assert_int_equal(counts[DM_JOB_WAITING], 1);
    exec_sql(db, "PRAGMA max_page_count = 100000");
    IN_TRANSACTION(db) assert_int_equal(dm_outbox_enqueue(db, 1, 1, text("large"), text("h"), (dm_view){large, 100000}, &how, &job), DM_DB_OK);
    dm_db_close(db);
    free(large);
}

static void another_processes_lock_is_busy_and_soon_told(void **state) {
    (void)state;
    dm_db *one = must_open(here.path), *two = must_open(here.path);
    assert_int_equal(dm_db_begin(one), DM_DB_OK);
    assert_int_equal(dm_db_begin(two), DM_DB_BUSY);
    put(two, "never");
    assert_int_equal(dm_db_commit(two), DM_DB_BUSY);
    put(one, "first");
    assert_int_equal(dm_db_commit(one), DM_DB_OK);
    IN_TRANSACTION(two) put(two, "second");
    assert_int_equal(number_of(one, "SELECT count(*) FROM jobs"), 2);
    dm_db_close(one);
    dm_db_close(two);
}

static void opening_a_second_time_keeps_the_first_ones_locks(void **state) {
    (void)state;
    dm_db *one = must_open(here.path);
    assert_int_equal(dm_db_begin(one), DM_DB_OK);
    dm_db *two = must_open(here.path);          /* a close() of the file would have dropped them */
    pid_t pid = fork();
    if (pid == 0) {
        dm_db_error why;
        dm_db *theirs = dm_db_open(here.path, &why);
        _exit(theirs && dm_db_begin(theirs) == DM_DB_BUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(dm_db_commit(one), DM_DB_OK);
    dm_db_close(two);
    dm_db_close(one);
}

static void a_forked_child_may_not_use_it_and_takes_nothing_away(void **state) {
    (void)state;
    dm_db *db = must_open(here.path);
    IN_TRANSACTION(db) put(db, "a");
    pid_t pid = fork();
    if (pid == 0) {
        bool ok = dm_db_begin(db) == DM_DB_FORKED && dm_db_commit(db) == DM_DB_FORKED;
        dm_db_close(db);
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    IN_TRANSACTION(db) put(db, "b");
    dm_db *other = must_open(here.path);
    assert_int_equal(number_of(other, "SELECT count(*) FROM jobs"), 2);
    dm_db_close(other);
    dm_db_close(db);
}

static void many_processes_may_make_the_same_file(void **state) {
    (void)state;
    enum { PROCESSES = 6, EACH = 20 };
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] != 0) continue;
        dm_db_error why = {DM_DB_BUSY, ""};
        dm_db *db = NULL;
        while (!db && why.code == DM_DB_BUSY) db = dm_db_open(here.path, &why);
        for (int k = 0; db && k < EACH; k++) {
            char key[32];
            snprintf(key, sizeof key, "%d-%d", i, k);
            dm_db_code code;
            while ((code = dm_db_begin(db)) == DM_DB_BUSY) {}
            put(db, key);
            if (code != DM_DB_OK || dm_db_commit(db) != DM_DB_OK) _exit(2);
        }
        dm_db_close(db);
        _exit(db ? 0 : 1);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    dm_db *db = must_open(here.path);
    assert_int_equal(number_of(db, "SELECT count(*) FROM jobs"), PROCESSES * EACH);
    dm_db_close(db);
}

/* Root may write everything, so the test becomes nobody where it can. */
static void a_file_that_may_only_be_read_is_refused(void **state) {
    (void)state;
    dm_db *db = must_open(here.path);
    dm_db_close(db);
    chmod(here.path, 0444);
    chmod(here.folder, 0755);
    pid_t pid = fork();
    if (pid == 0) {
        dm_db_error why;
        if (geteuid() == 0 && setuid(65534) != 0) _exit(3);
        dm_db *theirs = dm_db_open(here.path, &why);
        _exit(!theirs && why.code == DM_DB_READONLY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    chmod(here.folder, 0700);
}

static void every_allocation_that_fails_leaves_a_file_that_opens(void **state) {
    (void)state;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_db_error why;
        dm_db *db = dm_db_open(here.path, &why);
        if (!db) assert_true(dm_alloc_failed() && why.code == DM_DB_MEMORY);
        dm_db_close(db);
        if (dm_alloc_failed()) {
            dm_alloc.armed = false;
            db = must_open(here.path);
            IN_TRANSACTION(db) put(db, "a");
            dm_db_close(db);
            dm_alloc.armed = true;
            place_empty(&here);
        }
    }
}

int main(void) {
    use_our_malloc();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_new_file_is_its_owners_alone_whatever_the_umask),
        TEST(what_was_committed_is_there_after_opening_again),
        TEST(a_begin_gives_up_what_an_earlier_one_left_open),
        TEST(no_other_file_is_touched),
        TEST(a_database_of_another_application_is_left_alone),
        TEST(a_newer_schema_is_refused_by_its_number),
        TEST(an_empty_file_becomes_a_store),
        TEST(a_store_without_its_tables_is_damaged),
        TEST(damaged_pages_are_found_when_they_are_read),
        TEST(a_state_that_there_is_not_is_damage),
        TEST(a_full_disk_undoes_the_whole_transaction),
        TEST(another_processes_lock_is_busy_and_soon_told),
        TEST(opening_a_second_time_keeps_the_first_ones_locks),
        TEST(a_forked_child_may_not_use_it_and_takes_nothing_away),
        TEST(many_processes_may_make_the_same_file),
        TEST(a_file_that_may_only_be_read_is_refused),
        TEST(every_allocation_that_fails_leaves_a_file_that_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
