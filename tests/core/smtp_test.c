/* smtp_test.c - the engine against a server in memory that keeps its own list of what it took. */
#include "alloc.h"
#include "directmail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a server that answers, and remembers --------------------------------*/

typedef struct server {
    /* what it does */
    bool pipelining, no_ehlo, eightbit, starttls, auth, refuse_auth, refuse_mail, strict_data, quit_silent;
    const char *size;           /* "SIZE 100" */
    int banner, rcpt_no[8], data, dot[4];       /* codes; rcpt_no: n-th RCPT of a message is refused with it */
    int rcpt_first;             /* only so many RCPT of the session are refused so; 0: all */
    /* its state */
    dm_buf in, out;
    bool in_data, after_data, closed;
    int mails, rcpts, asked, good, took, dots, rsets, datas;
    char mail_line[2048];       /* the last one */
    bool taken[8];              /* by the digit that ends the sender's local part: "s0@" ... */
    int from;
    size_t heard;
} server;

static void server_init(server *v) {
    memset(v, 0, sizeof *v);
    v->pipelining = true;
    dm_buf_init(&v->in, 1 << 22);
    dm_buf_init(&v->out, 1 << 22);
}

static void server_clear(server *v) {
    dm_buf_clear(&v->in);
    dm_buf_clear(&v->out);
}

static void answer(server *v, int code, const char *text) {
    if (v->closed) return;
    dm_buf_addf(&v->out, "%d %s\r\n", code, text);
    if (code == 421) v->closed = true;
}

static void command(server *v, const char *line) {
    if (!strncmp(line, "EHLO", 4)) {
        if (v->no_ehlo) {
            answer(v, 502, "what?");
            return;
        }
        dm_buf_adds(&v->out, "250-server.example\r\n");
        if (v->pipelining) dm_buf_adds(&v->out, "250-PIPELINING\r\n");
        if (v->eightbit) dm_buf_adds(&v->out, "250-8BITMIME\r\n");
        if (v->starttls) dm_buf_adds(&v->out, "250-STARTTLS\r\n");
        if (v->auth) dm_buf_adds(&v->out, "250-AUTH LOGIN PLAIN\r\n");
        if (v->size) dm_buf_addf(&v->out, "250-%s\r\n", v->size);
        dm_buf_adds(&v->out, "250 \r\n");       /* Direct Mail's may end so */
    } else if (!strncmp(line, "HELO", 4)) {
        answer(v, 250, "hello");
    } else if (!strncmp(line, "STARTTLS", 8)) {
        v->starttls = false;
        answer(v, 220, "go");
    } else if (!strncmp(line, "AUTH PLAIN ", 11)) {
        if (v->refuse_auth) answer(v, 535, "no");
        else answer(v, 235, "Authentication successful");
    } else if (!strncmp(line, "MAIL", 4)) {
        v->rcpts = v->good = 0;
        v->mails++;
        snprintf(v->mail_line, sizeof v->mail_line, "%s", line);
        v->from = line[12] - '0';
        answer(v, v->refuse_mail ? 436 : 250, "Mail Ok");
        if (v->refuse_mail) v->good = -1000;
    } else if (!strncmp(line, "RCPT", 4)) {
        int no = v->good < 0 ? 503 : v->rcpt_no[v->rcpts++ % 8];
        if (v->rcpt_first > 0 && v->asked++ >= v->rcpt_first) no = 0;
        if (no) answer(v, no, "no such user");
        else v->good++, answer(v, 250, "Rcpt Ok");
    } else if (!strncmp(line, "DATA", 4)) {
        v->datas++;
        if (v->data) {
            answer(v, v->data, "not now");
        } else if (v->good <= 0 && v->strict_data) {
            answer(v, 554, "no valid recipients");
        } else {
            answer(v, 354, "End data with <CR><LF>.<CR><LF>");
            v->in_data = !v->closed;
        }
    } else if (!strncmp(line, "RSET", 4)) {
        v->rsets++;
        answer(v, 250, "reset");
    } else if (!strncmp(line, "QUIT", 4)) {
        if (!v->quit_silent) answer(v, 221, "Bye");
        v->closed = true;
    } else {
        answer(v, 500, "what?");
    }
}

static void server_hear(server *v, const char *p, size_t n) {
    dm_buf_add(&v->in, p, n);
    v->heard += n;
    for (;;) {
        char *lf = v->in.n ? memchr(v->in.p, '\n', v->in.n) : NULL;
        if (!lf || v->closed) return;
        size_t len = (size_t)(lf - v->in.p) + 1;
        char line[2048];
        snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), v->in.p);
        dm_buf_drop(&v->in, len);
        if (!v->in_data) {
            command(v, line);
        } else if (!strcmp(line, ".\r\n")) {
            v->in_data = false;
            int code = v->good > 0 ? v->dot[v->dots++ % 4] : 554;
            if (!code) {
                v->took++;
                v->taken[v->from] = true;
                answer(v, 250, "Data Ok: queued as freedom ###envid=600000000000000001");
            } else {
                answer(v, code, "not this one");
            }
        }
    }
}

/* ---- messages ------------------------------------------------------------*/

static dm_message *message_to(int i, size_t rcpts, bool all, size_t attached, bool eightbit) {
    char from[] = "s0@x.example";
    from[1] = (char)('0' + i);
    dm_view to[128];
    char names[128][32];
    for (size_t k = 0; k < rcpts; k++) {
        snprintf(names[k], sizeof names[k], "r%zu@x.example", k);
        to[k] = dm_view_of(names[k]);
    }
    dm_field fields[] = {{dm_view_of("Subject"), DM_FIELD_TEXT, dm_view_of("hi"), NULL, 0}};
    dm_part part = {dm_view_of("a.bin"), dm_view_of("application/octet-stream"), {NULL, 0}, {NULL, 0}, 0, attached};
    dm_mail mail;
    memset(&mail, 0, sizeof mail);
    mail.mail_from = dm_view_of(from);
    mail.rcpt_to = to;
    mail.rcpt_count = rcpts;
    mail.all_or_none = all;
    mail.fields = fields;
    mail.field_count = 1;
    mail.text = dm_view_of(".dot\nline\n");
    mail.boundary = dm_view_of("b");
    if (attached) {
        mail.parts = &part;
        mail.part_count = 1;
    }
    if (eightbit) {
        memset(&mail.text, 0, sizeof mail.text);
        mail.field_count = 0;
        mail.raw = dm_view_of("Subject: x\r\n\r\n.\xc3\xa4\r\n");
    }
    dm_message *m;
    dm_error err;
    assert_int_equal(dm_message_new(&m, &mail, &err), DM_OK);
    return m;
}

static dm_message *message(int i, size_t rcpts, size_t attached, bool eightbit) { return message_to(i, rcpts, false, attached, eightbit); }

/* ---- one run -------------------------------------------------------------*/

typedef struct run {
    dm_smtp_options options;
    int messages;
    size_t rcpts, attached, brought;    /* attached octets promised, and brought (0: the same) */
    const char *reader_fails;
    bool eightbit;
    bool all;                   /* all recipients or none */
    size_t chunk;               /* octets of the server's words that arrive at once; 0: all */
    size_t cut_out, cut_in;     /* the line is cut after so many octets to, from the server; SIZE_MAX: never */
    bool hear_last;             /* after a failed write, what the server said still arrives */
    bool eager;                 /* two messages are kept queued, as overlap wants */
    /* what came of it */
    int results;
    dm_outcome outcome[8];
    dm_said said[8];
    char text[8][128];
    size_t refused[8];
    dm_want end;
    dm_said error;
    char error_text[128];
    size_t written, read, dot_from[8], reply_to[8];
    int writes;
    bool tls;
} run;

static void deliver(run *r, server *v, dm_smtp *s, size_t n) {
    if (n > v->out.n) n = v->out.n;
    if (n > r->cut_in - r->read) n = r->cut_in - r->read;
    r->read += n;
    char *copy = malloc(n ? n : 1);         /* exact length: the sanitizer sees a read too far */
    memcpy(copy, v->out.p ? v->out.p : "", n);
    dm_buf_drop(&v->out, n);
    dm_smtp_feed(s, (dm_view){copy, n});
    free(copy);
}

static void play(run *r, server *v) {
    dm_smtp *s;
    dm_error err;
    dm_message *m[8] = {NULL};
    dm_code made = dm_smtp_new(&s, &r->options, &err);
    if (made != DM_OK) fail_msg("%s", err.detail);
    int pushed = 0;
    size_t brought = 0;
    for (int i = 0; i < r->messages; i++) m[i] = message_to(i, r->rcpts, r->all, r->attached, r->eightbit);
    for (int k = 0; k < (r->eager ? 2 : 1) && pushed < r->messages; k++, pushed++)
        assert_true(dm_smtp_push(s, pushed, m[pushed]));
    if (pushed == r->messages) dm_smtp_quit(s);
    answer(v, v->banner ? v->banner : 220, "hello");
    for (int turns = 0;; turns++) {
        assert_true(turns < 100000);
        dm_view data;
        int reader = -1;
        size_t max = 0;
        dm_want want = dm_smtp_next(s, &data, &reader, &max);
        if (want == DM_WANT_WRITE) {
            r->writes++;
            size_t n = data.n;
            bool whole = n <= r->cut_out - r->written;
            if (!whole) n = r->cut_out - r->written;
            char *copy = malloc(n ? n : 1);
            memcpy(copy, data.p, n);
            server_hear(v, copy, n);
            free(copy);
            r->written += n;
            if (!whole) {
                if (r->hear_last) deliver(r, v, s, SIZE_MAX);
                dm_smtp_lost(s, DM_E_LOST, "", "closed");
            }
        } else if (want == DM_WANT_READ) {
            if (v->out.n == 0 || r->read == r->cut_in) dm_smtp_lost(s, DM_E_LOST, "", "closed");
            else deliver(r, v, s, r->chunk ? r->chunk : SIZE_MAX);
        } else if (want == DM_WANT_TLS) {
            r->tls = true;
            dm_smtp_secured(s);
        } else if (want == DM_WANT_BODY) {
            assert_int_equal(reader, 0);
            assert_true(max > 0);
            size_t have = r->brought ? r->brought : r->attached, n = have - brought;
            char bytes[777];
            memset(bytes, 'x', sizeof bytes);
            if (n > max) n = max;
            if (n > sizeof bytes) n = sizeof bytes;
            brought += n;
            if (n > 0) dm_smtp_body(s, (dm_view){bytes, n});
            else dm_smtp_body_end(s, r->reader_fails), brought = 0;
        } else if (want == DM_WANT_RESULT) {
            dm_result got;
            dm_smtp_result(s, &got);
            assert_int_equal(got.n, r->results);            /* exactly one each, in push order */
            int i = r->results++;
            r->outcome[i] = got.outcome;
            r->said[i] = got.said;
            snprintf(r->text[i], sizeof r->text[i], "%.*s", (int)got.said.text.n, got.said.text.p);
            r->refused[i] = got.refused_count;
            if (pushed < r->messages) {
                if (dm_smtp_push(s, pushed, m[pushed])) pushed++;
                if (pushed == r->messages) dm_smtp_quit(s);
            }
        } else if (want == DM_WANT_IDLE) {
            assert_true(pushed == r->messages);
            dm_smtp_quit(s);
        } else {
            r->end = want;
            dm_smtp_error(s, &r->error);
            snprintf(r->error_text, sizeof r->error_text, "%.*s", (int)r->error.text.n, r->error.text.p);
            assert_int_equal(dm_smtp_next(s, &data, &reader, &max), want);      /* for ever */
            assert_int_equal(dm_smtp_push(s, 99, m[0]), false);
            break;
        }
    }
    assert_int_equal(r->results, pushed);
    dm_smtp_free(s);
    for (int i = 0; i < r->messages; i++) dm_message_free(m[i]);
}

static run a_run(void) {
    run r;
    memset(&r, 0, sizeof r);
    r.options.ehlo = dm_view_of("client.example");
    r.messages = 1;
    r.rcpts = 1;
    r.cut_in = r.cut_out = SIZE_MAX;
    return r;
}

static void finish(run *r, server *v) {
    play(r, v);
    server_clear(v);
}

/* ---- claims --------------------------------------------------------------*/

static void sends_one_message_and_says_goodbye(void **state) {
    (void)state;
    server v;
    server_init(&v);
    run r = a_run();
    finish(&r, &v);
    assert_int_equal(r.end, DM_WANT_DONE);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(r.said[0].reply, 250);
    assert_string_equal(r.text[0], "Data Ok: queued as freedom ###envid=600000000000000001");
    assert_int_equal(v.took, 1);
    assert_int_equal(r.writes, 3);          /* EHLO; MAIL RCPT DATA; the body with the dot and QUIT */
}

static void rule_2_6_without_pipelining_one_command_is_out_at_a_time(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.pipelining = false;
    run r = a_run();
    r.rcpts = 3;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(r.writes, 8);          /* EHLO MAIL RCPT RCPT RCPT DATA body QUIT */
}

static void rule_1_12_an_old_server_gets_helo(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.no_ehlo = true;
    run r = a_run();
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
}

static void rule_2_10_a_group_waits_at_a_hundred_replies(void **state) {
    (void)state;
    server v;
    server_init(&v);
    run r = a_run();
    r.rcpts = 120;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(r.writes, 4);          /* EHLO; MAIL and 99 RCPT; 21 RCPT and DATA; body */
}

static void rule_1_22_some_recipients_refused_the_rest_is_sent(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.rcpt_no[1] = 550;
    run r = a_run();
    r.rcpts = 3;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(r.refused[0], 1);
    assert_int_equal(v.took, 1);
}

/* For all or none: a message with the refusals of 'no' (0: taken) is followed by one to the same recipients, who are all taken. */
static void all_or_none(const int no[3], dm_pipeline mode, run *r, server *v) {
    server_init(v);
    memcpy(v->rcpt_no, no, 3 * sizeof *no);
    v->rcpt_first = 3;
    *r = a_run();
    r->options.pipeline = mode;
    r->rcpts = 3;
    r->all = true;
    r->messages = 2;
    r->eager = mode == DM_PIPELINE_OVERLAP;
    finish(r, v);
    assert_int_equal(r->end, DM_WANT_DONE);
    assert_int_equal(r->outcome[1], DM_SENT);
    assert_int_equal(r->refused[1], 0);
    assert_true(v->taken[1]);
}

static void rule_1_22_all_or_none_one_refused_is_no_data_and_a_reset(void **state) {
    (void)state;
    static const struct { int no[3]; dm_outcome outcome; int reply; size_t refused; } rows[] = {
        {{0, 550, 0}, DM_REFUSED, 550, 1},      {{550, 0, 0}, DM_REFUSED, 550, 1},      {{0, 0, 550}, DM_REFUSED, 550, 1},
        {{450, 0, 551}, DM_REFUSED, 551, 2},    {{550, 551, 452}, DM_REFUSED, 550, 3},  {{0, 452, 452}, DM_NOT_SENT, 452, 2},
        {{451, 450, 452}, DM_NOT_SENT, 451, 3}, {{0, 0, 450}, DM_NOT_SENT, 450, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int mode = DM_PIPELINE_GROUP; mode <= DM_PIPELINE_OFF; mode++) {
            run r;
            server v;
            all_or_none(rows[i].no, (dm_pipeline)mode, &r, &v);
            assert_int_equal(r.outcome[0], rows[i].outcome);
            assert_int_equal(r.said[0].reply, rows[i].reply);
            assert_int_equal(r.said[0].step, DM_STEP_RCPT);
            assert_int_equal(r.refused[0], rows[i].refused);
            assert_false(v.taken[0]);
            assert_int_equal(v.datas, 1);       /* the second one's: nothing of the first left */
            assert_int_equal(v.rsets, 1);
        }
}

static void rule_1_22_all_or_none_waits_for_every_recipient_before_data(void **state) {
    (void)state;
    static const int none[3] = {0, 0, 0};
    for (int mode = DM_PIPELINE_GROUP; mode <= DM_PIPELINE_OFF; mode++) {
        run r;
        server v;
        all_or_none(none, (dm_pipeline)mode, &r, &v);
        assert_int_equal(r.outcome[0], DM_SENT);
        assert_int_equal(v.took, 2);
        assert_int_equal(v.rsets, 0);
        /* EHLO; MAIL RCPT; DATA; body; MAIL RCPT; DATA; body QUIT - overlap: the second envelope rides behind the first dot */
        if (mode == DM_PIPELINE_GROUP) assert_int_equal(r.writes, 7);
        if (mode == DM_PIPELINE_OVERLAP) assert_int_equal(r.writes, 6);
    }
}

static void rule_2_10_all_or_none_holds_over_several_groups(void **state) {
    (void)state;
    for (int refuses = 0; refuses < 2; refuses++) {
        server v;
        server_init(&v);
        v.rcpt_no[7] = refuses ? 550 : 0;
        v.rcpt_first = 8;
        run r = a_run();
        r.rcpts = 120;
        r.all = true;
        finish(&r, &v);
        assert_int_equal(r.end, DM_WANT_DONE);
        assert_int_equal(r.outcome[0], refuses ? DM_REFUSED : DM_SENT);
        assert_int_equal(r.refused[0], refuses);
        assert_int_equal(r.writes, refuses ? 4 : 5);    /* EHLO; MAIL and 99 RCPT; 21 RCPT; QUIT, or DATA and body */
        assert_int_equal(v.datas, !refuses);
    }
}

static void rule_1_13_all_or_none_a_421_to_a_recipient_is_not_sent_unless_one_was_refused_for_good(void **state) {
    (void)state;
    for (int good = 0; good < 2; good++)
        for (int mode = DM_PIPELINE_GROUP; mode <= DM_PIPELINE_OFF; mode++) {
            server v;
            server_init(&v);
            v.rcpt_no[0] = good ? 550 : 0;
            v.rcpt_no[1] = 421;
            run r = a_run();
            r.options.pipeline = (dm_pipeline)mode;
            r.rcpts = 3;
            r.all = true;
            finish(&r, &v);
            assert_int_equal(r.end, DM_WANT_FAIL);
            assert_int_equal(r.outcome[0], good ? DM_REFUSED : DM_NOT_SENT);
            assert_int_equal(r.said[0].reply, good ? 550 : 421);
            assert_int_equal(v.datas, 0);
        }
}

static void rule_2_7_all_recipients_refused_and_still_354_ends_with_a_lone_dot(void **state) {
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        server v;
        server_init(&v);
        v.strict_data = strict;
        v.rcpt_no[0] = v.rcpt_no[1] = 550;
        run r = a_run();
        r.rcpts = 2;
        r.messages = 2;
        finish(&r, &v);
        assert_int_equal(r.end, DM_WANT_DONE);
        assert_int_equal(r.outcome[0], DM_REFUSED);
        assert_int_equal(r.said[0].reply, 550);
        assert_int_equal(r.said[0].step, DM_STEP_RCPT);
        assert_int_equal(r.refused[1], 2);
        assert_int_equal(v.took, 0);
    }
}

static void rule_2_8_data_refused_after_good_recipients_sends_no_body(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.data = 451;
    run r = a_run();
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.said[0].step, DM_STEP_DATA);
    assert_int_equal(v.dots, 0);
}

static void rule_1_13_a_421_ends_the_session_and_what_was_not_asked_was_not_sent(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.rcpt_no[0] = 421;
    run r = a_run();
    r.messages = 2;
    r.eager = true;
    finish(&r, &v);
    assert_int_equal(r.end, DM_WANT_FAIL);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.said[0].reply, 421);
    assert_int_equal(r.outcome[1], DM_NOT_SENT);
    assert_int_equal(r.said[1].code, DM_E_LOST);
}

static void rule_1_10_a_refused_banner_refuses_the_message_and_says_quit(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.banner = 554;
    run r = a_run();
    finish(&r, &v);
    assert_int_equal(r.end, DM_WANT_FAIL);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.said[0].step, DM_STEP_BANNER);
    assert_int_equal(v.heard, 6);           /* "QUIT\r\n" */
}

static void a_wrong_password_ends_before_any_recipient_is_named(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.auth = v.refuse_auth = true;
    run r = a_run();
    r.options.user = dm_view_of("user");
    r.options.password = dm_view_of("wrong");
    r.options.tls = DM_TLS_IMPLICIT;
    finish(&r, &v);
    assert_true(r.tls);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.said[0].code, DM_E_AUTH);
    assert_int_equal(v.mails, 0);
}

static void rule_2_57_a_password_never_goes_in_clear(void **state) {
    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        server v;
        server_init(&v);
        v.auth = true;
        run r = a_run();
        r.options.user = dm_view_of("user");
        r.options.password = dm_view_of("right");
        r.options.cleartext_auth = allowed;
        finish(&r, &v);
        if (allowed) {
            assert_int_equal(r.outcome[0], DM_SENT);
        } else {
            assert_int_equal(r.outcome[0], DM_NOT_SENT);
            assert_int_equal(r.said[0].code, DM_E_TLS);
            assert_string_equal(r.said[0].detail, "clear");
        }
    }
}

static void rule_2_30_starttls_is_used_when_offered_and_ehlo_is_said_again(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.starttls = v.auth = true;
    run r = a_run();
    r.options.user = dm_view_of("user");
    r.options.password = dm_view_of("right");
    finish(&r, &v);
    assert_true(r.tls);
    assert_int_equal(r.outcome[0], DM_SENT);
}

static void rule_2_11_a_message_over_the_servers_size_is_not_sent_and_the_next_goes_on(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.size = "SIZE 10";
    run r = a_run();
    r.messages = 2;
    finish(&r, &v);
    assert_int_equal(r.end, DM_WANT_DONE);
    assert_int_equal(r.outcome[0], DM_NOT_SENT);
    assert_int_equal(r.said[0].code, DM_E_SIZE);
    assert_int_equal(v.mails, 0);
}

static void rule_2_12_eight_bit_octets_need_8bitmime(void **state) {
    (void)state;
    for (int offered = 0; offered < 2; offered++) {
        server v;
        server_init(&v);
        v.eightbit = offered;
        run r = a_run();
        r.eightbit = true;
        finish(&r, &v);
        assert_int_equal(r.outcome[0], offered ? DM_SENT : DM_NOT_SENT);
        if (offered) assert_string_equal(v.mail_line, "MAIL FROM:<s0@x.example> BODY=8BITMIME\r\n");
        else assert_int_equal(r.said[0].code, DM_E_CONTENT);
    }
    server v;
    server_init(&v);
    v.eightbit = true;
    run r = a_run();            /* said of what needs it only */
    finish(&r, &v);
    assert_string_equal(v.mail_line, "MAIL FROM:<s0@x.example>\r\n");
}

static void rule_2_11_the_size_is_told_where_it_is_asked_for(void **state) {
    (void)state;
    static const char *const offers[] = {NULL, "SIZE", "SIZE 0", "SIZE 100000"};
    dm_message *m = message(0, 1, 0, false);
    char expected[64];
    snprintf(expected, sizeof expected, "MAIL FROM:<s0@x.example> SIZE=%llu\r\n", (unsigned long long)dm_message_size(m));
    dm_message_free(m);
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        server v;
        server_init(&v);
        v.size = offers[i];
        run r = a_run();
        finish(&r, &v);
        assert_int_equal(r.outcome[0], DM_SENT);
        assert_string_equal(v.mail_line, offers[i] ? expected : "MAIL FROM:<s0@x.example>\r\n");
    }
}

static void rule_1_29_rset_follows_an_error_and_nothing_a_success(void **state) {
    (void)state;
    server v;
    server_init(&v);
    run r = a_run();
    r.messages = 3;
    finish(&r, &v);
    assert_int_equal(v.took, 3);
    assert_int_equal(v.rsets, 0);
    server_init(&v);
    v.refuse_mail = true;       /* no transaction was begun, so there is none to reset */
    r = a_run();
    r.messages = 2;
    finish(&r, &v);
    assert_int_equal(v.mails, 2);
    server_init(&v);
    v.dot[0] = 452;             /* the dot ended it */
    r = a_run();
    r.messages = 2;
    finish(&r, &v);
    assert_int_equal(v.rsets, 0);
    assert_int_equal(r.outcome[1], DM_SENT);
}

static void rule_1_25_a_refused_data_is_reset_before_the_next_message(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.data = 554;
    run r = a_run();
    r.messages = 2;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.said[0].reply, 554);
    assert_int_equal(r.said[0].step, DM_STEP_DATA);
    assert_int_equal(v.mails, 2);
    assert_int_equal(v.rsets, 1);           /* and none behind the last: QUIT ends that */
}

static void rule_1_23_all_recipients_refused_is_no_data_and_a_reset(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.pipelining = false;
    v.rcpt_no[0] = v.rcpt_no[1] = 550;
    run r = a_run();
    r.rcpts = 2;
    r.messages = 2;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_REFUSED);
    assert_int_equal(r.refused[0], 2);
    assert_int_equal(v.datas, 0);
    assert_int_equal(v.rsets, 1);
}

static void rule_1_28_closing_instead_of_221_leaves_success_alone(void **state) {
    (void)state;
    server v;
    server_init(&v);
    v.quit_silent = true;
    run r = a_run();
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(r.end, DM_WANT_DONE);
}

static void a_reader_that_is_short_long_or_broken_is_not_sent_and_no_dot_leaves(void **state) {
    (void)state;
    static const struct { size_t brought; const char *fails; } ways[] = {{4999, NULL}, {5001, NULL}, {100, "the disk is gone"}};
    for (size_t i = 0; i < 3; i++) {
        server v;
        server_init(&v);
        run r = a_run();
        r.attached = 5000;
        r.brought = ways[i].brought;
        r.reader_fails = ways[i].fails;
        finish(&r, &v);
        assert_int_equal(r.outcome[0], DM_NOT_SENT);
        assert_int_equal(r.said[0].code, DM_E_FILE);
        assert_int_equal(v.dots, 0);
        assert_int_equal(v.took, 0);
    }
}

static void a_reader_that_keeps_its_promise_is_sent(void **state) {
    (void)state;
    server v;
    server_init(&v);
    run r = a_run();
    r.attached = 300000;
    finish(&r, &v);
    assert_int_equal(r.outcome[0], DM_SENT);
    assert_int_equal(v.took, 1);
}

/* A server that says what it is told to, whatever it hears. */
static dm_outcome scripted(const char *const *said, dm_said *why, const dm_smtp_options *options) {
    dm_smtp *s;
    dm_error err;
    static const dm_smtp_options plain = {{"client.example", 14}, {NULL, 0}, {NULL, 0}, DM_TLS_STARTTLS, DM_PIPELINE_GROUP, false, false};
    assert_int_equal(dm_smtp_new(&s, options ? options : &plain, &err), DM_OK);
    dm_message *m = message(0, 1, 0, false);
    assert_true(dm_smtp_push(s, 7, m));
    dm_smtp_quit(s);
    dm_outcome outcome = DM_SENT;
    bool settled = false;
    for (int turn = 0; turn < 1000; turn++) {
        dm_view data;
        int reader;
        size_t max;
        dm_want want = dm_smtp_next(s, &data, &reader, &max);
        if (want == DM_WANT_READ) {
            if (*said) dm_smtp_feed(s, dm_view_of(*said++));
            else dm_smtp_lost(s, DM_E_TIMEOUT, "", "timeout");
        } else if (want == DM_WANT_TLS) {
            dm_smtp_secured(s);
        } else if (want == DM_WANT_RESULT) {
            dm_result got;
            dm_smtp_result(s, &got);
            assert_false(settled);
            settled = true;
            outcome = got.outcome;
            *why = got.said;
            why->text = (dm_view){NULL, 0};
        } else if (want == DM_WANT_DONE || want == DM_WANT_FAIL) {
            break;
        }
    }
    assert_true(settled);
    dm_smtp_free(s);
    dm_message_free(m);
    return outcome;
}

#define SCRIPT(...) (const char *const[]){__VA_ARGS__, NULL}

static void rule_2_31_bytes_behind_the_answer_to_starttls_are_an_attack(void **state) {
    (void)state;
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n2"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
}

static void rule_2_33_a_refused_starttls_is_not_sent(void **state) {
    (void)state;
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 STARTTLS\r\n", "454 not now\r\n"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_TLS);
    assert_string_equal(why.detail, "clear");
    assert_int_equal(why.reply, 454);
}

static void rule_2_41_a_second_reply_in_the_greeting_is_refused(void **state) {
    (void)state;
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n250 x\r\n"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
}

static void garbage_is_seen_at_its_first_octet(void **state) {
    (void)state;
    dm_said why;
    static const char *const garbage[] = {"H", "\x15\x03", "2x", "999 x\r\n", "250-a\r\n550 b\r\n", "25", NULL};
    for (size_t i = 0; garbage[i]; i++) {
        assert_int_equal(scripted(SCRIPT(garbage[i]), &why, NULL), DM_NOT_SENT);
        assert_int_equal(why.code, strcmp(garbage[i], "25") ? DM_E_PROTOCOL : DM_E_TIMEOUT);
    }
}

static void a_354_to_the_dot_is_unknown_and_a_250_to_data_is_not_sent(void **state) {
    (void)state;
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "354 more\r\n"), &why, NULL), DM_UNKNOWN);
    assert_int_equal(why.code, DM_E_PROTOCOL);
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "250 taken\r\n"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
}

static void rule_1_26_silence_is_unknown_only_after_the_dot(void **state) {
    (void)state;
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "2"), &why, NULL), DM_UNKNOWN);
    assert_int_equal(why.code, DM_E_TIMEOUT);
    assert_int_equal(why.step, DM_STEP_DOT);
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "3"), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.step, DM_STEP_DATA);
}

static void a_reply_without_end_is_refused(void **state) {
    (void)state;
    static char many[DM_REPLY_LINES * 8 + 64], longest[DM_REPLY_LINE + 64];
    many[0] = '\0';
    for (int i = 0; i <= DM_REPLY_LINES; i++) strcat(many, "220-x\r\n");
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "220-", 4);
    dm_said why;
    assert_int_equal(scripted(SCRIPT(many), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
    assert_int_equal(scripted(SCRIPT(longest), &why, NULL), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_PROTOCOL);
}

static dm_smtp_options with_password(void) {
    dm_smtp_options o;
    memset(&o, 0, sizeof o);
    o.ehlo = dm_view_of("client.example");
    o.user = dm_view_of("user");
    o.password = dm_view_of("secret");
    o.tls = DM_TLS_IMPLICIT;
    return o;
}

static void no_known_mechanism_is_not_sent(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH XALIOAUTH\r\n"), &why, &o), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_AUTH);
}

static void rule_2_59_login_once_after_504_and_never_after_535(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH PLAIN LOGIN\r\n", "504 no\r\n", "334 dXNlcm5hbWU6\r\n", "334 \r\n",
                                     "235 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"), &why, &o), DM_SENT);
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH PLAIN LOGIN\r\n", "504 no\r\n", "534 no\r\n"), &why, &o), DM_REFUSED);
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH PLAIN LOGIN\r\n", "535 no\r\n", "235 ok\r\n"), &why, &o), DM_REFUSED);
    assert_int_equal(why.code, DM_E_AUTH);
}

static void rule_2_54_a_challenge_nobody_knows_is_cancelled(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    dm_said why;
    assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH PLAIN\r\n", "334 x\r\n", "334 y\r\n", "501 cancelled\r\n"), &why, &o), DM_NOT_SENT);
    assert_int_equal(why.code, DM_E_AUTH);
}

/* 'code' to AUTH PLAIN, which is all that is offered */
static void rule_2_56_every_refused_login_is_auth_and_keeps_its_code(void **state) {
    (void)state;
    static const int codes[] = {535, 526, 534, 538, 454, 432, 530, 500};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        dm_smtp_options o = with_password();
        dm_said why;
        char reply[16];
        snprintf(reply, sizeof reply, "%d no\r\n", codes[i]);
        assert_int_equal(scripted(SCRIPT("220 hi\r\n", "250-x\r\n250 AUTH PLAIN\r\n", reply), &why, &o), DM_REFUSED);
        assert_int_equal(why.code, DM_E_AUTH);
        assert_int_equal(why.step, DM_STEP_AUTH);
        assert_int_equal(why.reply, codes[i]);
    }
}

/* An engine that has said EHLO, and what it writes when it has heard what is offered. */
static dm_view first_words(dm_smtp **s, const dm_smtp_options *o, dm_message *m, const char *offer) {
    dm_error err;
    dm_view data;
    int reader;
    size_t max;
    assert_int_equal(dm_smtp_new(s, o, &err), DM_OK);
    if (m) assert_true(dm_smtp_push(*s, 1, m));
    if (o->tls == DM_TLS_IMPLICIT) {
        assert_int_equal(dm_smtp_next(*s, &data, &reader, &max), DM_WANT_TLS);
        dm_smtp_secured(*s);
    }
    assert_int_equal(dm_smtp_next(*s, &data, &reader, &max), DM_WANT_READ);
    dm_smtp_feed(*s, dm_view_of("220 hi\r\n"));
    assert_int_equal(dm_smtp_next(*s, &data, &reader, &max), DM_WANT_WRITE);
    assert_true(data.n <= 512);
    dm_smtp_feed(*s, dm_view_of(offer));
    assert_int_equal(dm_smtp_next(*s, &data, &reader, &max), DM_WANT_WRITE);
    return data;
}

static dm_view next_words(dm_smtp *s, const char *reply) {
    dm_view data;
    int reader;
    size_t max;
    dm_smtp_feed(s, dm_view_of(reply));
    assert_int_equal(dm_smtp_next(s, &data, &reader, &max), DM_WANT_WRITE);
    return data;
}

static void rule_2_51_a_response_too_long_for_a_line_waits_for_334(void **state) {
    (void)state;
    char password[401];
    memset(password, 'x', 400);
    password[400] = '\0';
    dm_smtp_options o = with_password();
    o.password = dm_view_of(password);
    dm_smtp *s;
    assert_true(dm_view_is(first_words(&s, &o, NULL, "250-x\r\n250 AUTH PLAIN\r\n"), "AUTH PLAIN\r\n"));
    dm_view line = next_words(s, "334 \r\n");
    assert_int_equal(line.n, (400 + 6 + 2) / 3 * 4 + 2);
    assert_memory_equal(line.p, "AHVzZXIAeHh4", 12);
    dm_smtp_free(s);
    /* the longest that fits is sent at once, and its line keeps to 512 */
    for (size_t n = 350; n < 400; n++) {
        o.password.n = n;
        line = first_words(&s, &o, NULL, "250-x\r\n250 AUTH PLAIN\r\n");
        assert_true(line.n <= 512);
        dm_smtp_free(s);
    }
}

static void rule_2_61_mail_follows_a_login_and_no_ehlo(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    dm_message *m = message(0, 1, 0, false);
    dm_smtp *s;
    first_words(&s, &o, m, "250-x\r\n250 AUTH PLAIN\r\n");
    assert_true(dm_view_is(next_words(s, "235 ok\r\n"), "MAIL FROM:<s0@x.example>\r\n"));
    dm_smtp_free(s);
    dm_message_free(m);
}

static void rule_2_60_the_write_that_held_a_password_is_wiped(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    dm_message *m = message(0, 1, 0, false);
    dm_smtp *s;
    dm_view secret = first_words(&s, &o, m, "250-x\r\n250 AUTH PLAIN\r\n");
    assert_non_null(memmem(secret.p, secret.n, "AHVzZXIAc2VjcmV0", 16));
    dm_view line = next_words(s, "235 ok\r\n");
    assert_ptr_equal(line.p, secret.p);         /* the same memory: what the shorter line did not cover is zero */
    for (size_t i = line.n; i < secret.n; i++) assert_int_equal(secret.p[i], 0);
    dm_smtp_free(s);
    dm_message_free(m);
}

static void rule_1_20_no_command_is_over_512(void **state) {
    (void)state;
    char address[255], name[257];
    memset(address, 'a', 254);
    for (size_t i = 64; i < 254; i += 60) address[i] = i == 64 ? '@' : '.';
    address[254] = '\0';
    memset(name, 'n', sizeof name);
    dm_view to = dm_view_of(address);
    dm_mail mail;
    memset(&mail, 0, sizeof mail);
    mail.mail_from = to;
    mail.rcpt_to = &to;
    mail.rcpt_count = 1;
    mail.raw = dm_view_of("Subject: x\r\n\r\n\xc3\xa4\r\n");
    dm_message *m;
    dm_error err;
    assert_int_equal(dm_message_new(&m, &mail, &err), DM_OK);
    dm_smtp_options o;
    memset(&o, 0, sizeof o);
    o.ehlo = (dm_view){name, 255};
    dm_smtp *s;
    dm_view line = first_words(&s, &o, m, "250-x\r\n250-SIZE 99999999999999999999\r\n250 8BITMIME\r\n");
    assert_true(line.n <= 512);
    assert_memory_equal(line.p + line.n - 15, "BODY=8BITMIME\r\n", 15);
    line = next_words(s, "250 ok\r\n");
    assert_true(line.n <= 512);
    assert_memory_equal(line.p, "RCPT TO:<aaaa", 13);
    dm_smtp_free(s);
    dm_message_free(m);
    o.ehlo.n = 256;
    assert_int_equal(dm_smtp_new(&s, &o, &err), DM_E_OPTION);
    assert_string_equal(err.field, "ehlo");
}

/* Whatever allocation fails, the message is settled once, and is sent only if the server said so. */
static void rule_7_9_every_allocation_may_fail(void **state) {
    (void)state;
    static const char *const said[] = {"220 hi\r\n", "250-x\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n", "504 no\r\n", "334 a\r\n",
                                       "334 b\r\n", "235 ok\r\n", "250 ok\r\n250 ok\r\n550 no such user\r\n354 go\r\n", "250 taken\r\n", "221 bye\r\n"};
    const size_t all = sizeof said / sizeof *said;
    long runs = 0;
    DM_EVERY_ALLOCATION_FAILS_ONCE {
        dm_alloc.armed = false;
        dm_message *m = message(0, 2, 300, false);
        dm_smtp_options o = with_password();
        o.trace = true;
        dm_alloc.armed = true;
        dm_smtp *s;
        dm_error err;
        dm_code code = dm_smtp_new(&s, &o, &err);
        assert_int_equal(code, s ? DM_OK : DM_E_MEMORY);
        size_t at = 0, brought = 0;
        int results = 0;
        dm_outcome outcome = DM_NOT_SENT;
        if (s) {
            assert_true(dm_smtp_push(s, 1, m));
            dm_smtp_quit(s);
        }
        for (bool more = s != NULL; more;) {
            dm_view data;
            int reader;
            size_t max;
            dm_result got;
            char bytes[300];
            switch (dm_smtp_next(s, &data, &reader, &max)) {
            case DM_WANT_READ:
                if (at < all) dm_smtp_feed(s, dm_view_of(said[at++]));
                else dm_smtp_lost(s, DM_E_LOST, "", "closed");
                break;
            case DM_WANT_TLS: dm_smtp_secured(s); break;
            case DM_WANT_BODY:
                memset(bytes, 'x', sizeof bytes);
                if (brought == 0) dm_smtp_body(s, (dm_view){bytes, brought = 300});
                else dm_smtp_body_end(s, NULL);
                break;
            case DM_WANT_RESULT:
                dm_smtp_result(s, &got);
                outcome = got.outcome;
                results++;
                break;
            case DM_WANT_DONE: case DM_WANT_FAIL: more = false; break;
            default: break;
            }
        }
        if (s) assert_int_equal(results, 1);
        if (outcome == DM_SENT) assert_true(at >= all - 1);
        if (!dm_alloc_failed()) assert_int_equal(outcome, DM_SENT);
        bool failed = dm_alloc.failed;
        dm_smtp_free(s);
        dm_message_free(m);
        dm_alloc.failed = failed;
        runs++;
    }
    assert_true(runs > 10);
}

static void rule_2_58_what_a_transcript_shows_holds_no_secret(void **state) {
    (void)state;
    dm_smtp_options o = with_password();
    o.trace = true;
    dm_smtp *s;
    dm_error err;
    assert_int_equal(dm_smtp_new(&s, &o, &err), DM_OK);
    dm_view data;
    int reader;
    size_t max;
    assert_int_equal(dm_smtp_next(s, &data, &reader, &max), DM_WANT_TLS);
    dm_smtp_secured(s);
    assert_int_equal(dm_smtp_next(s, &data, &reader, &max), DM_WANT_READ);
    dm_smtp_feed(s, dm_view_of("220 hi\r\n"));
    assert_int_equal(dm_smtp_next(s, &data, &reader, &max), DM_WANT_WRITE);
    assert_true(dm_view_is(dm_smtp_shown(s), "EHLO client.example\r\n"));
    dm_smtp_feed(s, dm_view_of("250-x\r\n250 AUTH PLAIN\r\n"));
    assert_int_equal(dm_smtp_next(s, &data, &reader, &max), DM_WANT_WRITE);
    assert_true(dm_view_is(data, "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"));
    assert_true(dm_view_is(dm_smtp_shown(s), "AUTH PLAIN ********\r\n"));
    dm_smtp_free(s);
}

static void names_and_passwords_with_control_characters_are_refused(void **state) {
    (void)state;
    static const struct { const char *ehlo; size_t n; const char *password; size_t m; dm_code code; } rows[] = {
        {"a\r\nMAIL", 7, NULL, 0, DM_E_OPTION}, {"a b", 3, NULL, 0, DM_E_OPTION}, {"", 0, NULL, 0, DM_E_OPTION},
        {"\xc3\xa4", 2, NULL, 0, DM_E_OPTION},  {"a\0b", 3, NULL, 0, DM_E_OPTION}, {"a", 1, "a\0b", 3, DM_E_CREDENTIALS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dm_smtp_options o;
        memset(&o, 0, sizeof o);
        o.ehlo = (dm_view){rows[i].ehlo, rows[i].n};
        o.user = dm_view_of("user");
        o.password = (dm_view){rows[i].password, rows[i].m};
        dm_smtp *s;
        dm_error err;
        assert_int_equal(dm_smtp_new(&s, &o, &err), rows[i].code);
        assert_null(s);
        assert_true(err.detail[0] && err.field[0]);
    }
}

/* ---- cut after every octet -----------------------------------------------*/

typedef struct dialogue {
    const char *name;
    void (*set)(server *v, run *r);
} dialogue;

static void d_plain(server *v, run *r) { (void)v, (void)r; }
static void d_partial(server *v, run *r) { v->rcpt_no[1] = 550, r->rcpts = 3; }
static void d_all(server *v, run *r) { (void)v, r->rcpts = 3, r->all = true; }
static void d_all_550(server *v, run *r) { v->rcpt_no[1] = 550, v->rcpt_first = 3, r->rcpts = 3, r->all = true; }
static void d_all_452(server *v, run *r) { v->rcpt_no[2] = 452, r->rcpts = 3, r->all = true; }
static void d_none_554(server *v, run *r) { (void)r, v->rcpt_no[0] = 550, v->strict_data = true; }
static void d_none_354(server *v, run *r) { (void)r, v->rcpt_no[0] = 550; }
static void d_dot_452(server *v, run *r) { (void)r, v->dot[0] = 452; }
static void d_dot_421(server *v, run *r) { (void)r, v->dot[1] = 421; }
static void d_rcpt_421(server *v, run *r) { (void)r, v->rcpt_no[0] = 421; }
static void d_mail_436(server *v, run *r) { (void)r, v->refuse_mail = true; }
static void d_reader(server *v, run *r) { (void)v, r->attached = 700; }
static void d_auth(server *v, run *r) {
    v->auth = true, r->options = with_password();
}
static void d_starttls(server *v, run *r) {
    v->starttls = v->auth = true;
    r->options = with_password();
    r->options.tls = DM_TLS_STARTTLS;
}

static const dialogue dialogues[] = {
    {"plain", d_plain}, {"partial", d_partial}, {"all or none", d_all}, {"all or none, 550", d_all_550}, {"all or none, 452", d_all_452},
    {"all refused, 554", d_none_554}, {"all refused, 354", d_none_354},
    {"452 to the dot", d_dot_452}, {"421 to the dot", d_dot_421}, {"421 to RCPT", d_rcpt_421}, {"436 to MAIL", d_mail_436},
    {"reader", d_reader}, {"auth", d_auth}, {"starttls", d_starttls},
};

/* What the server took must be sent or unknown; what it did not take must not be sent; and
** unknown is only what had its dot written and its answer not read. */
static int judge(const run *r, const server *v, const char *name, dm_pipeline mode, const char *where, size_t cut) {
    int unknown = 0;
    for (int i = 0; i < r->results; i++) {
        bool took = v->taken[i];
        bool right = r->outcome[i] == DM_UNKNOWN || (r->outcome[i] == DM_SENT) == took;
        if (!right) fail_msg("%s, mode %d, cut %s after %zu: message %d is %s and the server %s it", name, (int)mode, where, cut, i,
                             dm_outcome_name(r->outcome[i]), took ? "took" : "did not take");
        unknown += r->outcome[i] == DM_UNKNOWN;
    }
    return unknown;
}

static void rule_7_2_every_cut_has_the_right_outcome(void **state) {
    (void)state;
    long runs = 0, unknowns = 0;
    for (size_t d = 0; d < sizeof dialogues / sizeof *dialogues; d++)
        for (int mode = DM_PIPELINE_GROUP; mode <= DM_PIPELINE_OFF; mode++)
            for (int messages = 1; messages <= 3; messages += 2) {
                run whole = a_run();
                server first;
                server_init(&first);
                dialogues[d].set(&first, &whole);
                whole.messages = messages;
                whole.options.pipeline = (dm_pipeline)mode;
                whole.eager = mode == DM_PIPELINE_OVERLAP;
                run proto = whole;
                finish(&whole, &first);
                assert_int_equal(judge(&whole, &first, dialogues[d].name, (dm_pipeline)mode, "nowhere", 0), 0);
                for (int way = 0; way < 4; way++) {     /* cut what is written (last words lost, heard); what is read (whole, by octet) */
                    size_t end = way < 2 ? whole.written : whole.read;
                    for (size_t cut = 0; cut <= end; cut++) {
                        run r = proto;
                        server v;
                        server_init(&v);
                        dialogues[d].set(&v, &r);
                        r.messages = messages;
                        r.options.pipeline = (dm_pipeline)mode;
                        r.hear_last = way == 1;
                        r.chunk = way == 3 ? 1 : 0;
                        if (way < 2) r.cut_out = cut;
                        else r.cut_in = cut;
                        play(&r, &v);
                        int unknown = judge(&r, &v, dialogues[d].name, (dm_pipeline)mode, way < 2 ? "out" : "in", cut);
                        if (messages == 1) {
                            /* one message: unknown exactly while the dot is out and its answer is not in */
                            if (cut == end) assert_int_equal(unknown, 0);
                            if (v.dots == 0 && way > 1) assert_int_equal(unknown, 0);
                        }
                        unknowns += unknown;
                        runs++;
                        server_clear(&v);
                    }
                }
            }
    print_message("# %ld runs, %ld unknown\n", runs, unknowns);
    assert_true(runs > 20000 && unknowns > 100);
}

static void octet_by_octet_is_the_same_as_whole(void **state) {
    (void)state;
    for (size_t d = 0; d < sizeof dialogues / sizeof *dialogues; d++) {
        run a = a_run(), b = a_run();
        server v, w;
        server_init(&v);
        server_init(&w);
        dialogues[d].set(&v, &a);
        dialogues[d].set(&w, &b);
        a.messages = b.messages = 3;
        b.chunk = 1;
        finish(&a, &v);
        finish(&b, &w);
        assert_int_equal(a.results, b.results);
        assert_int_equal(a.end, b.end);
        for (int i = 0; i < a.results; i++) {
            assert_int_equal(a.outcome[i], b.outcome[i]);
            assert_string_equal(a.text[i], b.text[i]);
        }
    }
}

static void overlap_writes_the_next_envelope_behind_the_dot(void **state) {
    (void)state;
    server v;
    server_init(&v);
    run r = a_run();
    r.messages = 3;
    r.eager = true;
    r.options.pipeline = DM_PIPELINE_OVERLAP;
    finish(&r, &v);
    assert_int_equal(v.took, 3);
    assert_int_equal(r.writes, 5);          /* EHLO; envelope; body+envelope; body+envelope; body+QUIT */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_one_message_and_says_goodbye),
        cmocka_unit_test(rule_2_6_without_pipelining_one_command_is_out_at_a_time),
        cmocka_unit_test(rule_1_12_an_old_server_gets_helo),
        cmocka_unit_test(rule_2_10_a_group_waits_at_a_hundred_replies),
        cmocka_unit_test(rule_1_22_some_recipients_refused_the_rest_is_sent),
        cmocka_unit_test(rule_1_22_all_or_none_one_refused_is_no_data_and_a_reset),
        cmocka_unit_test(rule_1_22_all_or_none_waits_for_every_recipient_before_data),
        cmocka_unit_test(rule_2_10_all_or_none_holds_over_several_groups),
        cmocka_unit_test(rule_1_13_all_or_none_a_421_to_a_recipient_is_not_sent_unless_one_was_refused_for_good),
        cmocka_unit_test(rule_2_7_all_recipients_refused_and_still_354_ends_with_a_lone_dot),
        cmocka_unit_test(rule_2_8_data_refused_after_good_recipients_sends_no_body),
        cmocka_unit_test(rule_1_13_a_421_ends_the_session_and_what_was_not_asked_was_not_sent),
        cmocka_unit_test(rule_1_10_a_refused_banner_refuses_the_message_and_says_quit),
        cmocka_unit_test(a_wrong_password_ends_before_any_recipient_is_named),
        cmocka_unit_test(rule_2_57_a_password_never_goes_in_clear),
        cmocka_unit_test(rule_2_30_starttls_is_used_when_offered_and_ehlo_is_said_again),
        cmocka_unit_test(rule_2_11_a_message_over_the_servers_size_is_not_sent_and_the_next_goes_on),
        cmocka_unit_test(rule_2_12_eight_bit_octets_need_8bitmime),
        cmocka_unit_test(rule_2_11_the_size_is_told_where_it_is_asked_for),
        cmocka_unit_test(rule_1_29_rset_follows_an_error_and_nothing_a_success),
        cmocka_unit_test(rule_1_25_a_refused_data_is_reset_before_the_next_message),
        cmocka_unit_test(rule_1_23_all_recipients_refused_is_no_data_and_a_reset),
        cmocka_unit_test(rule_2_56_every_refused_login_is_auth_and_keeps_its_code),
        cmocka_unit_test(rule_2_51_a_response_too_long_for_a_line_waits_for_334),
        cmocka_unit_test(rule_2_61_mail_follows_a_login_and_no_ehlo),
        cmocka_unit_test(rule_2_60_the_write_that_held_a_password_is_wiped),
        cmocka_unit_test(rule_1_20_no_command_is_over_512),
        cmocka_unit_test(rule_1_28_closing_instead_of_221_leaves_success_alone),
        cmocka_unit_test(a_reader_that_is_short_long_or_broken_is_not_sent_and_no_dot_leaves),
        cmocka_unit_test(a_reader_that_keeps_its_promise_is_sent),
        cmocka_unit_test(rule_2_31_bytes_behind_the_answer_to_starttls_are_an_attack),
        cmocka_unit_test(rule_2_33_a_refused_starttls_is_not_sent),
        cmocka_unit_test(rule_2_41_a_second_reply_in_the_greeting_is_refused),
        cmocka_unit_test(garbage_is_seen_at_its_first_octet),
        cmocka_unit_test(a_354_to_the_dot_is_unknown_and_a_250_to_data_is_not_sent),
        cmocka_unit_test(rule_1_26_silence_is_unknown_only_after_the_dot),
        cmocka_unit_test(a_reply_without_end_is_refused),
        cmocka_unit_test(no_known_mechanism_is_not_sent),
        cmocka_unit_test(rule_2_59_login_once_after_504_and_never_after_535),
        cmocka_unit_test(rule_2_54_a_challenge_nobody_knows_is_cancelled),
        cmocka_unit_test(rule_7_9_every_allocation_may_fail),
        cmocka_unit_test(rule_2_58_what_a_transcript_shows_holds_no_secret),
        cmocka_unit_test(names_and_passwords_with_control_characters_are_refused),
        cmocka_unit_test(octet_by_octet_is_the_same_as_whole),
        cmocka_unit_test(overlap_writes_the_next_envelope_behind_the_dot),
        cmocka_unit_test(rule_7_2_every_cut_has_the_right_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
