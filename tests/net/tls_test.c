/* tls_test.c - sessions: resumed where they may be, and nowhere else. The clocks are the test's. */
#include "tls.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki.h"

/* These stand before libc's, for OpenSSL's look at a certificate's dates too. */
static time_t ahead;

#define SEEN __attribute__((visibility("default")))

SEEN time_t time(time_t *to) {
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
    if (to) *to = t.tv_sec + ahead;
    return t.tv_sec + ahead;
}

SEEN int clock_gettime(clockid_t clock, struct timespec *t) {
    int result = (int)syscall(SYS_clock_gettime, clock, t);
    t->tv_sec += ahead;
    return result;
}

enum { HOUR = 3600, YEAR = 365 * 24 * HOUR };

typedef struct world {
    dm_loop *loop;
    dm_authority authority;
    char ca[64], other[64];         /* two files with the same CA */
    SSL_CTX *server;
} world;

static SSL_CTX *server_for(const world *w, int version, bool tickets) {
    static const char *const names[] = {"localhost", "mail.test", "127.0.0.1"};
    X509 *cert;
    EVP_PKEY *key;
    dm_why why;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    assert_true(dm_authority_issue(&w->authority, names, 3, false, &cert, &key, &why));
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    if (!tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void write_ca(const world *w, const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, w->authority.cert), 1);
    assert_int_equal(fclose(f), 0);
}

static void open_world(world *w, int version, bool tickets) {
    dm_why why;
    ahead = 0;
    memset(w, 0, sizeof *w);
    w->loop = dm_loop_new();
    assert_true(dm_authority_new(&w->authority, &why));
    snprintf(w->ca, sizeof w->ca, "/tmp/tls_test.%d.ca", (int)getpid());
    snprintf(w->other, sizeof w->other, "/tmp/tls_test.%d.other", (int)getpid());
    write_ca(w, w->ca);
    write_ca(w, w->other);
    w->server = server_for(w, version, tickets);
}

static void close_world(world *w) {
    remove(w->ca);
    remove(w->other);
    SSL_CTX_free(w->server);
    dm_authority_free(&w->authority);
    dm_loop_drop(w->loop);
}

typedef struct link {
    dm_socket client, server;
} link_t;

static void turn(const world *w) {
    dm_loop_turn(w->loop, 0);
    while (dm_loop_next(w->loop)) continue;
}

/* Wait for reading as 'who', so that the edge is seen. */
static void look(const world *w, dm_socket *s) {
    if (!s->watch.wait[DM_READ]) dm_watch_wait(&s->watch, DM_READ, DM_READ, 0);
    turn(w);
}

static bool begin(const world *w, link_t *l, const char *name, int port, const char *ca, dm_why *why) {
    int fd[2];
    memset(l, 0, sizeof *l);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(dm_socket_open(&l->client, w->loop, fd[0]), 0);
    assert_int_equal(dm_socket_open(&l->server, w->loop, fd[1]), 0);
    assert_true(dm_tls_server(&l->server, w->server, why));
    return dm_tls_client(&l->client, name, port, ca, why);
}

static dm_io shake(const world *w, link_t *l, dm_why *why) {
    dm_io here = DM_IO_WANT_READ, there = DM_IO_WANT_READ;
    for (int i = 0; i < 20 && (here != DM_IO_DONE || there != DM_IO_DONE); i++) {
        dm_why theirs;
        if (here != DM_IO_DONE) here = dm_tls_handshake(l->client.tls, why);
        look(w, &l->server);
        if (there != DM_IO_DONE && there != DM_IO_FAIL) there = dm_tls_handshake(l->server.tls, &theirs);
        look(w, &l->client);
        if (here == DM_IO_FAIL) return here;
    }
    return here;
}

static void hang_up(link_t *l) {
    dm_socket_close(&l->client);
    dm_socket_close(&l->server);
}

/* One mail's worth: the server's word brings its tickets along. 1: resumed, 0: a whole handshake, -1: none. */
static int talk(const world *w, link_t *l, const char *name, int port, const char *ca) {
    dm_why why;
    char word[8];
    size_t n;
    dm_tls_info info;
    if (!begin(w, l, name, port, ca, &why) || shake(w, l, &why) != DM_IO_DONE) return -1;
    assert_int_equal(dm_socket_send(&l->server, "220", 3, &n, &why), DM_IO_DONE);
    look(w, &l->client);
    assert_int_equal(dm_socket_recv(&l->client, word, sizeof word, &n, &why), DM_IO_DONE);
    assert_memory_equal(word, "220", 3);
    assert_true(dm_tls_describe(l->client.tls, &info));
    assert_string_equal(info.subject, "localhost");         /* the session holds its certificate */
    return info.resumed;
}

static int visit(const world *w, const char *name, int port, const char *ca) {
    link_t l;
    int resumed = talk(w, &l, name, port, ca);
    hang_up(&l);
    return resumed;
}

static void a_second_connection_resumes(void **state) {
    (void)state;
    static const struct {
        int version;
        bool tickets;
    } kinds[] = {{TLS1_3_VERSION, true}, {TLS1_2_VERSION, true}, {TLS1_2_VERSION, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        world w;
        open_world(&w, kinds[i].version, kinds[i].tickets);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
        for (int n = 0; n < 20; n++) assert_int_equal(visit(&w, "localhost", 465, w.ca), 1);
        close_world(&w);
    }
}

static void another_name_port_or_ca_does_not(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    assert_int_equal(visit(&w, "mail.test", 465, w.ca), 0);
    assert_int_equal(visit(&w, "127.0.0.1", 465, w.ca), 0);
    assert_int_equal(visit(&w, "localhost", 80, w.ca), 0);
    assert_int_equal(visit(&w, "localhost", 465, w.other), 0);
    assert_int_equal(visit(&w, "localhost", 465, NULL), -1);        /* the system knows no such CA, resumed or not */
    assert_int_equal(visit(&w, "elsewhere.test", 465, w.ca), -1);
    assert_int_equal(visit(&w, "localhost.", 465, w.ca), 1);        /* the same name */
    close_world(&w);
}

static void without_a_port_nothing_is_remembered(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "localhost", 0, w.ca), 0);
    assert_int_equal(visit(&w, "localhost", 0, w.ca), 0);
    close_world(&w);
}

static void a_loop_remembers_for_itself(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    dm_loop *first = w.loop;
    w.loop = dm_loop_new();
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    dm_loop_drop(first);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 1);
    close_world(&w);
}

/* The server's ticket keys are its context's: a new one has forgotten. */
static void a_server_that_forgot_gets_a_whole_handshake(void **state) {
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world w;
        open_world(&w, version, true);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 1);
        SSL_CTX_free(w.server);
        w.server = server_for(&w, version, true);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
        close_world(&w);
    }
}

static void a_ticket_of_tls_13_is_used_once(void **state) {
    (void)state;
    world w;
    link_t l[5];
    dm_why why;
    dm_tls_info info;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);         /* it brings two */
    for (int i = 0; i < 5; i++) assert_true(begin(&w, &l[i], "localhost", 465, w.ca, &why));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(shake(&w, &l[i], &why), DM_IO_DONE);
        assert_true(dm_tls_describe(l[i].client.tls, &info));
        assert_int_equal(info.resumed, i < 2);
    }
    for (int i = 0; i < 5; i++) hang_up(&l[i]);
    close_world(&w);
}

static void a_server_that_no_longer_resumes_uses_up_what_is_remembered(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    SSL_CTX_set_num_tickets(w.server, 0);
    SSL_CTX_set_options(w.server, SSL_OP_NO_TICKET);
    for (int i = 0; i < 4; i++) assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    close_world(&w);
}

static void a_failed_handshake_drops_what_is_remembered(void **state) {
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world w;
        link_t l;
        int fd[2];
        dm_why why;
        open_world(&w, version, true);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
        assert_int_equal(visit(&w, "mail.test", 465, w.ca), 0);
        memset(&l, 0, sizeof l);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
        assert_int_equal(dm_socket_open(&l.client, w.loop, fd[0]), 0);
        assert_true(dm_tls_client(&l.client, "localhost", 465, w.ca, &why));
        assert_int_equal(dm_tls_handshake(l.client.tls, &why), DM_IO_WANT_READ);
        close(fd[1]);                       /* it heard our session and went */
        dm_socket_close(&l.client);
        assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
        assert_int_equal(visit(&w, "mail.test", 465, w.ca), 1);
        close_world(&w);
    }
}

static void the_certificate_is_looked_at_once_in_an_hour(void **state) {
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        world w;
        int whole = 0;
        open_world(&w, version, true);
        for (int minutes = 0; minutes <= 4 * 60; minutes += 5) {
            ahead = minutes * 60;
            if (!visit(&w, "localhost", 465, w.ca)) whole++;
        }
        assert_int_equal(whole, 5);
        close_world(&w);
    }
}

static void an_ended_certificate_is_not_resumed(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    ahead = YEAR - 60;
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 1);
    ahead = YEAR + 60;
    assert_int_equal(visit(&w, "localhost", 465, w.ca), -1);
    close_world(&w);
}

static void a_ca_file_written_anew_ends_what_it_vouched_for(void **state) {
    (void)state;
    world w;
    link_t open;
    dm_authority stranger;
    dm_why why;
    char word[8];
    size_t n;
    open_world(&w, TLS1_3_VERSION, true);
    assert_true(begin(&w, &open, "localhost", 465, w.ca, &why));
    assert_int_equal(shake(&w, &open, &why), DM_IO_DONE);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    remove(w.ca);
    assert_true(dm_authority_new(&stranger, &why));
    dm_authority ours = w.authority;
    w.authority = stranger;
    write_ca(&w, w.ca);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), -1);
    /* tickets that come over a connection of before are not remembered: nothing stands for them now */
    assert_int_equal(dm_socket_send(&open.server, "250", 3, &n, &why), DM_IO_DONE);
    look(&w, &open.client);
    assert_int_equal(dm_socket_recv(&open.client, word, sizeof word, &n, &why), DM_IO_DONE);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), -1);
    hang_up(&open);
    w.authority = ours;
    dm_authority_free(&stranger);
    close_world(&w);
}

static void one_server_does_not_push_out_the_others(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(visit(&w, "mail.test", 465, w.ca), 0);
    assert_int_equal(SSL_CTX_set_num_tickets(w.server, 70), 1);
    assert_int_equal(visit(&w, "localhost", 465, w.ca), 0);
    assert_int_equal(visit(&w, "mail.test", 465, w.ca), 1);
    close_world(&w);
}

static void many_servers_are_remembered_within_a_bound(void **state) {
    (void)state;
    world w;
    open_world(&w, TLS1_3_VERSION, true);
    assert_int_equal(SSL_CTX_set_num_tickets(w.server, 1), 1);
    for (int port = 1; port <= 100; port++) assert_int_equal(visit(&w, "localhost", port, w.ca), 0);
    assert_int_equal(visit(&w, "localhost", 100, w.ca), 1);
    assert_int_equal(visit(&w, "localhost", 60, w.ca), 1);
    assert_int_equal(visit(&w, "localhost", 2, w.ca), 0);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_connection_resumes),
        cmocka_unit_test(another_name_port_or_ca_does_not),
        cmocka_unit_test(without_a_port_nothing_is_remembered),
        cmocka_unit_test(a_loop_remembers_for_itself),
        cmocka_unit_test(a_server_that_forgot_gets_a_whole_handshake),
        cmocka_unit_test(a_ticket_of_tls_13_is_used_once),
        cmocka_unit_test(a_server_that_no_longer_resumes_uses_up_what_is_remembered),
        cmocka_unit_test(a_failed_handshake_drops_what_is_remembered),
        cmocka_unit_test(the_certificate_is_looked_at_once_in_an_hour),
        cmocka_unit_test(an_ended_certificate_is_not_resumed),
        cmocka_unit_test(a_ca_file_written_anew_ends_what_it_vouched_for),
        cmocka_unit_test(one_server_does_not_push_out_the_others),
        cmocka_unit_test(many_servers_are_remembered_within_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
