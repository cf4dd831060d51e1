/* dns_test.c - answers that lie in every octet, questions that nobody waits for any more, and memory that runs out. */
#include "dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "alloc.h"

/* ---- a server in this very thread -----------------------------------------*/

typedef struct server {
    int fd, port;
    struct sockaddr_in peer;
    unsigned char query[512];
    size_t size;                    /* of the last question */
} server;

static void serve(server *s) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    memset(s, 0, sizeof *s);
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&here, sizeof here), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&here, &size), 0);
    s->port = ntohs(here.sin_port);
}

static bool take_question(server *s) {
    socklen_t size = sizeof s->peer;
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    if (poll(&ready, 1, 5000) != 1) return false;
    ssize_t n = recvfrom(s->fd, s->query, sizeof s->query, 0, (struct sockaddr *)&s->peer, &size);
    s->size = n > 0 ? (size_t)n : 0;
    return n > 12;
}

static void give(server *s, const unsigned char *octets, size_t size) {
    assert_int_equal(sendto(s->fd, octets, size, 0, (struct sockaddr *)&s->peer, sizeof s->peer), (ssize_t)size);
}

/* ---- answers ---------------------------------------------------------------*/

typedef struct packet {
    unsigned char octets[1024];
    size_t size;
} packet;

static void put(packet *p, const void *octets, size_t size) {
    memcpy(p->octets + p->size, octets, size);
    p->size += size;
}

static void put_record(packet *p, int type, const void *data, size_t size) {
    unsigned char head[] = {0xc0, 12, 0, (unsigned char)type, 0, 1, 0, 0, 0, 60, 0, (unsigned char)size};
    put(p, head, sizeof head);
    put(p, data, size);
    p->octets[7]++;
}

/* The question as it came (without EDNS) and one record of every type. */
static void answer(const server *s, packet *p) {
    static const unsigned char head[] = {0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};
    static const unsigned char v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const unsigned char soa[] = {1, 'n', 0xc0, 12, 1, 'h', 0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5};
    size_t end = 12;
    while (s->query[end]) end += s->query[end] + 1u;
    p->size = 0;
    put(p, s->query, 2);
    put(p, head, sizeof head);
    put(p, s->query + 12, end + 5 - 12);
    put_record(p, DM_DNS_A, "\300\0\2\1", 4);
    put_record(p, DM_DNS_AAAA, v6, sizeof v6);
    put_record(p, DM_DNS_MX, "\0\12\2MX\300\14", 7);
    put_record(p, DM_DNS_TXT, "\3one\0\4 two", 10);
    put_record(p, DM_DNS_CNAME, "\5other\7example\0", 15);
    put_record(p, DM_DNS_NS, "\300\14", 2);
    put_record(p, DM_DNS_SOA, soa, sizeof soa);
    put_record(p, 99, "what nobody knows", 17);
}

/* Look at all that an answer says: how many records, -1 when it is garbled or none. */
static int read_all(dm_lookup *q) {
    dm_record *r = malloc(sizeof *r);
    dm_why why;
    int n = 0, got = -1;
    assert_non_null(r);
    if (dm_lookup_answer(q, &why)) {
        while ((got = dm_lookup_next(q, r, &why)) > 0) {
            n++;
            assert_true(strlen(r->owner) < DM_DNS_NAME);
            if (r->type == DM_DNS_TXT) for (size_t i = 0; i < r->text_size; i++) assert_true(r->text[i] == r->text[i]);
        }
        if (got < 0) assert_string_equal(why.text, "the answer of the DNS server is garbled");
    }
    free(r);
    return got < 0 ? -1 : n;
}

static void finish(dm_loop *l, const dm_lookup *q) {
    for (int i = 0; dm_lookup_wait(q) != 0; i++) {
        assert_true(i < 100);
        dm_loop_turn(l, 1);
        while (dm_loop_next(l) != 0) {}
    }
}

static dm_lookup *begin(dm_loop *l, const server *s, double seconds) {
    dm_why why;
    dm_lookup *q = dm_lookup_start(l, "Mail.example", DM_DNS_TXT, seconds, "127.0.0.1", s->port, &why);
    if (!q) fail_msg("%s", why.text);
    return q;
}

/* ---- the claims -------------------------------------------------------------*/

static void every_type_is_read(void **state) {
    dm_loop *l = dm_loop_new();
    server s;
    packet p;
    dm_why why;
    dm_record r;
    (void)state;
    serve(&s);
    dm_lookup *q = begin(l, &s, 30);
    assert_true(take_question(&s));
    answer(&s, &p);
    give(&s, p.octets, p.size);
    finish(l, q);
    assert_true(dm_lookup_answer(q, &why));
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.owner, "mail.example");
    assert_string_equal(r.address, "192.0.2.1");
    assert_int_equal(r.ttl, 60);
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.address, "2001:db8::1");
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.name, "mx.mail.example");
    assert_int_equal(r.preference, 10);
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_int_equal(r.text_size, 7);
    assert_memory_equal(r.text, "one two", 7);
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.name, "other.example");
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.name, "mail.example");
    assert_int_equal(dm_lookup_next(q, &r, &why), 1);
    assert_string_equal(r.name, "n.mail.example");
    assert_string_equal(r.mailbox, "h.mail.example");
    assert_int_equal(r.number[4], 5);
    assert_int_equal(dm_lookup_next(q, &r, &why), 0);
    assert_int_equal(dm_lookup_next(q, &r, &why), 0);
    dm_lookup_free(q);
    close(s.fd);
    dm_loop_drop(l);
}

/* The good answer comes right behind the bad one: what is thrown away as no answer at all need not run into its time limit. */
static int bad_then_good(dm_loop *l, server *s, const packet *bad_one, const packet *good) {
    packet bad = *bad_one, right = *good;
    while (recv(s->fd, s->query, sizeof s->query, MSG_DONTWAIT) > 0) {}        /* FORMERR made it ask again */
    dm_lookup *q = begin(l, s, 10);
    assert_true(take_question(s));
    for (int i = 0; i < 2; i++) {
        bad.octets[i] = (unsigned char)(s->query[i] ^ bad.octets[i]);       /* made from an answer with the id 0 */
        right.octets[i] = s->query[i];
    }
    give(s, bad.octets, bad.size);
    give(s, right.octets, right.size);
    finish(l, q);
    int n = read_all(q);
    dm_lookup_free(q);
    return n;
}

static void rules_6_17_and_7_10_no_octet_of_an_answer_is_believed(void **state) {
    static const unsigned char lies[] = {0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff};
    dm_loop *l = dm_loop_new();
    server s;
    packet good;
    int garbled = 0, whole = 0;
    (void)state;
    serve(&s);
    dm_lookup *q = begin(l, &s, 30);
    assert_true(take_question(&s));
    answer(&s, &good);
    give(&s, good.octets, good.size);
    finish(l, q);
    assert_int_equal(read_all(q), 7);
    dm_lookup_free(q);
    good.octets[0] = good.octets[1] = 0;
    for (size_t at = 0; at < good.size; at++) {
        for (size_t i = 0; i < sizeof lies; i++) {
            packet bad = good;
            if (bad.octets[at] == lies[i]) continue;
            bad.octets[at] = lies[i];
            if (bad.octets[2] & 2) continue;            /* truncated: it would be asked for by TCP, where nobody is */
            int n = bad_then_good(l, &s, &bad, &good);
            if (n < 0) garbled++;
            else whole++;
        }
    }
    assert_true(garbled > 50);
    assert_true(whole > 50);
    for (size_t size = 1; size < good.size; size++) {
        packet bad = good;
        bad.size = size;
        int n = bad_then_good(l, &s, &bad, &good);
        assert_true(n == -1 || n == 7);                 /* garbled, or no answer and the good one counted */
    }
    close(s.fd);
    dm_loop_drop(l);
}

static void an_answer_that_nobody_waits_for_is_thrown_away(void **state) {
    dm_loop *l = dm_loop_new();
    server s;
    packet p;
    (void)state;
    serve(&s);
    dm_lookup *first = begin(l, &s, 30);
    assert_true(take_question(&s));
    answer(&s, &p);
    dm_lookup_free(first);                              /* its wait is over, its answer still to come */
    assert_true(dm_loop_next(l) > 0);
    dm_lookup *second = begin(l, &s, 30);
    give(&s, p.octets, p.size);
    assert_true(take_question(&s));
    answer(&s, &p);
    give(&s, p.octets, p.size);
    finish(l, second);
    assert_int_equal(read_all(second), 7);
    dm_lookup_free(second);
    dm_lookup_free(begin(l, &s, 30));                   /* and one that is still with c-ares when the loop ends */
    while (dm_loop_next(l) != 0) {}
    close(s.fd);
    dm_loop_drop(l);
}

static void time_ends_a_question_and_its_number_is_free_again(void **state) {
    dm_loop *l = dm_loop_new();
    server s;
    packet p;
    dm_why why;
    (void)state;
    serve(&s);
    dm_lookup *q = begin(l, &s, 0.001);
    unsigned id = dm_lookup_wait(q);
    assert_true(take_question(&s));
    assert_int_equal(dm_loop_turn(l, 5), 1);
    assert_int_equal(dm_loop_next(l), -(long)id);
    assert_int_equal(dm_lookup_wait(q), 0);
    unsigned other = dm_loop_wait(l, -1);               /* takes the same number */
    assert_int_equal(other, id);
    answer(&s, &p);
    give(&s, p.octets, p.size);
    assert_int_equal(dm_loop_turn(l, 0.05), 0);         /* the late answer ends nobody's wait */
    (void)dm_lookup_answer(q, &why);
    dm_lookup_free(q);
    dm_loop_fire(l, other);
    assert_int_equal(dm_loop_next(l), (long)other);
    close(s.fd);
    dm_loop_drop(l);
}

static void a_name_that_cannot_be_is_refused(void **state) {
    static const char *const names[] = {"", ".", "a..b", "a.", "a b", "a\\046b", "b\303\244r", "a@b",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"};
    dm_loop *l = dm_loop_new();
    dm_why why;
    char long_name[300];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_null(dm_lookup_start(l, names[i], DM_DNS_A, 1, "127.0.0.1", 53, &why));
        assert_string_equal(why.text, "this is no name that can be asked for");
    }
    for (size_t i = 0; i < 254; i++) long_name[i] = i % 2 ? '.' : 'a';
    long_name[254] = 'a';
    long_name[255] = '\0';
    assert_null(dm_lookup_start(l, long_name, DM_DNS_A, 1, "127.0.0.1", 53, &why));
    assert_null(dm_lookup_start(l, "a.example", DM_DNS_A, 1, "localhost", 53, &why));
    assert_string_equal(why.text, "the DNS server is no IP address");
    assert_int_equal(dm_loop_turn(l, 0), -1);           /* nothing is left behind */
    dm_loop_drop(l);
}

static void every_allocation_may_fail(void **state) {
    server s;
    packet p;
    (void)state;
    serve(&s);
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_why why;
        dm_record r;
        dm_loop *l = dm_loop_new();
        dm_lookup *q = l ? dm_lookup_start(l, "mail.example", DM_DNS_TXT, 30, "127.0.0.1", s.port, &why) : NULL;
        if (q) {
            assert_true(take_question(&s));
            answer(&s, &p);
            give(&s, p.octets, p.size);
            finish(l, q);
            bool good = dm_lookup_answer(q, &why);
            int got = 0, n = 0;
            while (good && (got = dm_lookup_next(q, &r, &why)) > 0) n++;
            if (!dm_alloc_failed()) assert_int_equal(n, 7);
            dm_lookup_free(q);
        } else {
            assert_true(dm_alloc_failed());
        }
        if (l) while (dm_loop_next(l) != 0) {}
        dm_loop_drop(l);
    }
    close(s.fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(rules_6_17_and_7_10_no_octet_of_an_answer_is_believed),
        cmocka_unit_test(an_answer_that_nobody_waits_for_is_thrown_away),
        cmocka_unit_test(time_ends_a_question_and_its_number_is_free_again),
        cmocka_unit_test(a_name_that_cannot_be_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
