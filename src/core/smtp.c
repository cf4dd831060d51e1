/*
** smtp.c - the client's half of an SMTP dialogue, as a queue of expected replies.
**
** Nothing here waits. Commands are written into 'out' and what each will be
** answered with goes into one queue; a reply meets the front of that queue and
** says what comes next. Every outcome falls out of the queue and of one fact:
** whether the write that holds the final dot was handed out.
*/
#include "auth.h"
#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = DM_SMTP_MESSAGES,
    OUTSTANDING = 100,          /* replies awaited at once, so that a write cannot wait for a read that waits for it */
    COMMAND_BYTES = 16384,      /* and octets of commands: the smallest default send buffer */
    EXPECTS = OUTSTANDING + 4,  /* RSET, the dot, QUIT ride along */
    CHUNK = 96 * 1024,          /* octets of a body written at once; over 128 KB malloc turns to mmap */
    WORDS = 1 << 20             /* what servers may say about one message's recipients, all together */
};

typedef enum kind {
    BANNER, EHLO, HELO, STARTTLS, AUTH_PLAIN, AUTH_PLAIN_DATA, AUTH_LOGIN, AUTH_LOGIN_USER, AUTH_FINAL, AUTH_CANCEL,
    MAIL, RCPT, DATA, LONE_DOT, DOT, RSET, QUIT
} kind;

static const dm_step step_of[] = {
    [BANNER] = DM_STEP_BANNER, [EHLO] = DM_STEP_EHLO, [HELO] = DM_STEP_EHLO, [STARTTLS] = DM_STEP_STARTTLS,
    [AUTH_PLAIN] = DM_STEP_AUTH, [AUTH_PLAIN_DATA] = DM_STEP_AUTH, [AUTH_LOGIN] = DM_STEP_AUTH,
    [AUTH_LOGIN_USER] = DM_STEP_AUTH, [AUTH_FINAL] = DM_STEP_AUTH, [AUTH_CANCEL] = DM_STEP_AUTH,
    [MAIL] = DM_STEP_MAIL, [RCPT] = DM_STEP_RCPT, [DATA] = DM_STEP_DATA, [LONE_DOT] = DM_STEP_DATA,
    [DOT] = DM_STEP_DOT, [RSET] = DM_STEP_MAIL, [QUIT] = DM_STEP_QUIT,
};

/* A dm_said whose words lie in a buffer of ours: 'at' octets into it. */
typedef struct note {
    dm_said said;
    size_t at, n;
} note;

typedef struct refusal {
    size_t rcpt;
    note why;
} refusal;

typedef struct slot {
    int64_t n;
    dm_message *m;
    size_t next;                /* command to issue: 0 MAIL, then a RCPT for each recipient, then DATA */
    size_t accepted, answered;  /* recipients */
    size_t open;                /* replies still expected for this message */
    bool dot_out;               /* the write that holds the final dot was handed out */
    bool settled;
    dm_outcome outcome;
    note why;
    refusal *refused;
    size_t refused_count, refused_cap;
    dm_buf words;
} slot;

typedef struct expect {
    kind kind;
    slot *m;
    size_t rcpt;
} expect;

typedef enum state { START, SETUP, WANT_TLS, READY, OVER } state;

struct dm_smtp {
    state state;
    bool secured, quitting, quit_out, failed;
    bool out_handed;            /* 'out' was handed out and is void at the next call */
    bool secret_out;            /* 'out' holds a secret */
    dm_tls tls;
    dm_pipeline pipeline;
    bool cleartext_auth, trace;
    dm_buf user, password, name;
    dm_ehlo caps;
    unsigned tried;             /* AUTH mechanisms that were tried */

    dm_buf in, out, shown, body, words;
    size_t scanned;             /* octets of 'in' that hold no whole reply */
    expect queue[EXPECTS];
    size_t head, count;         /* the queue is a ring */
    size_t handed;              /* how many of it had their command handed out */
    size_t command_bytes;
    bool hold;                  /* a full group: wait for all its replies */
    bool need_rset;             /* a transaction was left open */

    slot slots[SLOTS];
    size_t first, used;         /* ring of messages, in push order */
    slot *cur;                  /* whose envelope is being written */
    slot *sending;              /* whose body is being written: 354 came */
    slot *dotted;               /* whose dot was written and not answered */
    dm_dot dot;
    uint64_t body_octets;
    int reader;                 /* a reader that was asked for bytes */
    size_t reader_max;
    bool want_body;

    slot *reported;             /* result handed out, freed at the next call */
    dm_refusal *report;
    size_t report_cap;
    note error;
};

static const char *const steps[] = {"connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit"};
static const char *const outcomes[] = {"sent", "refused", "not_sent", "unknown"};

const char *dm_step_name(dm_step step) { return steps[step]; }
const char *dm_outcome_name(dm_outcome o) { return outcomes[o]; }

/* ---- notes: what was said, kept ------------------------------------------*/

static note note_words(dm_buf *words, dm_code code, dm_step step, const char *text, size_t n) {
    note w;
    memset(&w, 0, sizeof w);
    w.said.code = code;
    w.said.step = step;
    w.at = words->n;
    w.n = dm_buf_add(words, text, n) == DM_OK ? n : 0;
    return w;
}

static note note_reply(dm_buf *words, dm_code code, dm_step step, const dm_reply *r, dm_view in) {
    char enhanced[12];
    size_t at = words->n;
    dm_reply_text(words, r, in, enhanced);
    note w;
    memset(&w, 0, sizeof w);
    w.said.code = code;
    w.said.step = step;
    w.said.reply = r->code;
    memcpy(w.said.enhanced, enhanced, sizeof enhanced);
    w.at = at;
    w.n = words->code == DM_OK ? words->n - at : 0;
    return w;
}

static dm_said note_said(const note *w, const dm_buf *words) {
    dm_said s = w->said;
    s.text.p = w->n ? words->p + w->at : "";
    s.text.n = w->n;
    return s;
}

/* ---- birth and death -----------------------------------------------------*/

static void slot_clear(slot *m) {
    free(m->refused);
    dm_buf_clear(&m->words);
    memset(m, 0, sizeof *m);
    dm_buf_init(&m->words, WORDS);
}

dm_code dm_smtp_hello(dm_smtp *s, dm_view name, dm_error *err) {
    if (name.n == 0 || name.n > 255) return dm_fail(err, DM_E_OPTION, "ehlo", "the EHLO name is empty or over 255 octets");
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return dm_fail(err, DM_E_OPTION, "ehlo", "the EHLO name holds a blank, a control character or a non-ASCII one");
    s->name.n = 0;
    return dm_buf_addv(&s->name, name) == DM_OK ? DM_OK : dm_fail(err, DM_E_MEMORY, "", "not enough memory");
}

dm_code dm_smtp_new(dm_smtp **out, const dm_smtp_options *o, dm_error *err) {
    *out = NULL;
    if (o->password.p) {
        dm_code code = dm_auth_check(o->user, o->password, err);
        if (code != DM_OK) return code;
    }
    dm_smtp *s = calloc(1, sizeof *s);
    if (!s) return dm_fail(err, DM_E_MEMORY, "", "not enough memory");
    s->tls = o->tls;
    s->pipeline = o->pipeline;
    s->cleartext_auth = o->cleartext_auth;
    s->trace = o->trace;
    dm_buf_init(&s->name, 256);
    dm_buf_init(&s->user, DM_AUTH_MAX);
    dm_buf_init(&s->password, DM_AUTH_MAX);
    dm_buf_init(&s->in, (size_t)DM_REPLY_LINES * DM_REPLY_LINE + 65536);
    dm_buf_init(&s->out, SIZE_MAX / 2);
    dm_buf_init(&s->shown, SIZE_MAX / 2);
    dm_buf_init(&s->body, SIZE_MAX / 2);
    dm_buf_init(&s->words, WORDS);
    for (size_t i = 0; i < SLOTS; i++) dm_buf_init(&s->slots[i].words, WORDS);
    if (o->password.p) {
        dm_buf_addv(&s->user, o->user);
        dm_buf_addv(&s->password, o->password);
    }
    dm_code code = dm_smtp_hello(s, o->ehlo, err);
    if (code == DM_OK && (s->user.code || s->password.code)) code = dm_fail(err, DM_E_MEMORY, "", "not enough memory");
    if (code == DM_OK) *out = s;
    else dm_smtp_free(s);
    return code;
}

void dm_smtp_free(dm_smtp *s) {
    if (!s) return;
    for (size_t i = 0; i < SLOTS; i++) slot_clear(&s->slots[i]);
    free(s->report);
    dm_buf_wipe(&s->user);
    dm_buf_wipe(&s->password);
    if (s->secret_out) dm_buf_wipe(&s->out);
    dm_buf_clear(&s->out);
    dm_buf_clear(&s->in);
    dm_buf_clear(&s->shown);
    dm_buf_clear(&s->body);
    dm_buf_clear(&s->words);
    dm_buf_clear(&s->name);
    free(s);
}

static bool dead(const dm_smtp *s) { return s->state == OVER; }

static slot *slot_at(dm_smtp *s, size_t i) { return &s->slots[(s->first + i) % SLOTS]; }

bool dm_smtp_push(dm_smtp *s, int64_t n, dm_message *m) {
    if (dead(s) || s->quitting || s->used == SLOTS) return false;
    slot *to = slot_at(s, s->used++);
    to->n = n;
    to->m = m;
    return true;
}

/* ---- what was handed out -------------------------------------------------*/

static void forget_write(dm_smtp *s) {
    if (s->secret_out && s->out.p) explicit_bzero(s->out.p, s->out.cap);
    s->secret_out = s->out_handed = false;
    s->out.n = s->shown.n = 0;
    if (s->out.cap > 2 * CHUNK) dm_buf_clear(&s->out);
}

/* Before anything is written: the bytes handed out last are void. */
static void fresh(dm_smtp *s) {
    if (s->out_handed) forget_write(s);
}

dm_step dm_smtp_step(const dm_smtp *s) {
    if (s->state == START || (s->state == WANT_TLS && s->tls == DM_TLS_IMPLICIT)) return DM_STEP_CONNECT;
    if (s->state == WANT_TLS) return DM_STEP_STARTTLS;
    if (s->state == OVER) return s->failed ? s->error.said.step : DM_STEP_QUIT;
    if (s->sending) return DM_STEP_DATA;
    return s->count > 0 ? step_of[s->queue[s->head].kind] : DM_STEP_MAIL;
}

static void await(dm_smtp *s, kind k, slot *m, size_t rcpt) {
    s->queue[(s->head + s->count++) % EXPECTS] = (expect){k, m, rcpt};
    if (m) m->open++;
}

static void await_banner(dm_smtp *s) {      /* the server speaks first: nothing of ours has to leave */
    await(s, BANNER, NULL, 0);
    s->handed = s->count;
}

/* ---- settling ------------------------------------------------------------*/

static void settle(slot *m, dm_outcome outcome, note why) {
    if (m->settled) return;
    m->settled = true;
    m->outcome = outcome;
    m->why = why;
}

/* The dialogue cannot go on. What the server has answered stands; what it may have
** taken is unknown; of the rest 'rest' is true: not sent, or refused with the session. */
static void stop(dm_smtp *s, note why, dm_outcome rest) {
    if (dead(s)) return;
    s->error = why;
    dm_said said = note_said(&s->error, &s->words);
    for (size_t i = 0; i < s->used; i++) {
        slot *m = slot_at(s, i);
        m->open = 0;
        if (m == s->reported || m->settled) continue;
        note own = note_words(&m->words, said.code, said.step, said.text.p, said.text.n);
        own.said.reply = said.reply;
        memcpy(own.said.enhanced, said.enhanced, sizeof own.said.enhanced);
        memcpy(own.said.detail, said.detail, sizeof own.said.detail);
        settle(m, m->dot_out ? DM_UNKNOWN : rest, own);
    }
    s->state = OVER;
    s->failed = true;
    s->count = s->handed = 0;
    s->cur = s->sending = s->dotted = NULL;
    s->want_body = false;
    forget_write(s);
}

static void stop_words(dm_smtp *s, dm_code code, dm_step step, const char *detail, const char *text) {
    note w = note_words(&s->words, code, step, text, strlen(text));
    snprintf(w.said.detail, sizeof w.said.detail, "%s", detail ? detail : "");
    stop(s, w, DM_NOT_SENT);
}

/* ---- writing -------------------------------------------------------------*/

static void say(dm_smtp *s, kind k, slot *m, size_t rcpt, const char *line) {
    fresh(s);
    dm_buf_adds(&s->out, line);
    dm_buf_adds(&s->out, "\r\n");
    if (s->trace) {
        dm_buf_adds(&s->shown, line);
        dm_buf_adds(&s->shown, "\r\n");
    }
    s->command_bytes += strlen(line) + 2;
    await(s, k, m, rcpt);
}

/* A line with a secret in it: 'shown' stands for it in a transcript. */
static void say_secret(dm_smtp *s, kind k, const char *verb, dm_view secret, const char *shown) {
    fresh(s);
    s->secret_out = true;
    dm_buf_room(&s->out, strlen(verb) + secret.n + 3);  /* once: growing would leave copies behind */
    dm_buf_adds(&s->out, verb);
    dm_buf_addv(&s->out, secret);
    bool trace = s->trace;
    s->trace = false;
    say(s, k, NULL, 0, "");
    s->trace = trace;
    if (trace) {
        dm_buf_adds(&s->shown, verb);
        dm_buf_adds(&s->shown, shown);
        dm_buf_adds(&s->shown, "\r\n");
    }
}

static void say_hello(dm_smtp *s, kind k) {
    char line[5 + 256];
    snprintf(line, sizeof line, "%s %.*s", k == EHLO ? "EHLO" : "HELO", (int)s->name.n, s->name.p);
    say(s, k, NULL, 0, line);
}

static void say_auth_plain(dm_smtp *s, kind k) {
    dm_buf line;
    dm_buf_init(&line, DM_AUTH_MAX);
    dm_buf_room(&line, dm_base64_length(s->user.n + s->password.n + 2));
    if (dm_auth_plain(&line, dm_buf_view(&s->user), dm_buf_view(&s->password)) == DM_OK)
        say_secret(s, k, k == AUTH_PLAIN ? "AUTH PLAIN " : "", dm_buf_view(&line), "********");
    else
        stop_words(s, line.code, DM_STEP_AUTH, "", "not enough memory");
    dm_buf_wipe(&line);
}

static void say_auth_word(dm_smtp *s, kind k, const dm_buf *word) {
    dm_buf line;
    dm_buf_init(&line, DM_AUTH_MAX);
    dm_buf_room(&line, dm_base64_length(word->n));
    if (dm_base64(&line, dm_buf_view(word)) == DM_OK) say_secret(s, k, "", dm_buf_view(&line), "********");
    else stop_words(s, line.code, DM_STEP_AUTH, "", "not enough memory");
    dm_buf_wipe(&line);
}

static void say_auth(dm_smtp *s) {
    unsigned left = s->caps.auth & ~s->tried;
    s->state = SETUP;
    if (left & DM_AUTH_PLAIN) {
        s->tried |= DM_AUTH_PLAIN;
        if (dm_base64_length(s->user.n + s->password.n + 2) + 13 > DM_AUTH_LINE) say(s, AUTH_PLAIN, NULL, 0, "AUTH PLAIN");
        else say_auth_plain(s, AUTH_PLAIN);
    } else if (left & DM_AUTH_LOGIN) {
        s->tried |= DM_AUTH_LOGIN;
        say(s, AUTH_LOGIN, NULL, 0, "AUTH LOGIN");
    } else {
        stop_words(s, DM_E_AUTH, DM_STEP_AUTH, "", "the server offers no way to log in that is known here (PLAIN, LOGIN)");
    }
}

/* EHLO is answered: encrypt, log in, or go to work. */
static void after_hello(dm_smtp *s) {
    if (!s->secured && (s->caps.caps & DM_CAP_STARTTLS)) {
        say(s, STARTTLS, NULL, 0, "STARTTLS");
    } else if (!s->password.p) {
        s->state = READY;
    } else if (!s->secured && !s->cleartext_auth) {
        stop_words(s, DM_E_TLS, DM_STEP_STARTTLS, "clear", "the server offers no STARTTLS, and a password never goes in clear text");
    } else {
        say_auth(s);
    }
}

static bool pipelining(const dm_smtp *s) { return s->pipeline != DM_PIPELINE_OFF && (s->caps.caps & DM_CAP_PIPELINING); }

/* Faults that show only when the server's limits are known: RFC 1870, 6; RFC 6152, 3. */
static bool cannot_carry(dm_smtp *s, slot *m) {
    char text[160];
    dm_code code = DM_OK;
    uint64_t size = dm_message_size(m->m);
    if (s->caps.size > 0 && size > s->caps.size) {
        code = DM_E_SIZE;
        snprintf(text, sizeof text, "the message has %llu octets, the server takes %llu", (unsigned long long)size,
                 (unsigned long long)s->caps.size);
    } else if (dm_message_8bit(m->m) && !(s->caps.caps & DM_CAP_8BITMIME)) {
        code = DM_E_CONTENT;
        snprintf(text, sizeof text, "the message holds 8-bit octets and the server does not offer 8BITMIME");
    }
    if (code == DM_OK) return false;
    settle(m, DM_NOT_SENT, note_words(&m->words, code, DM_STEP_MAIL, text, strlen(text)));
    return true;
}

static void say_mail(dm_smtp *s, slot *m) {
    char line[DM_AUTH_LINE];
    dm_view from = dm_message_mail_from(m->m);
    int n = snprintf(line, sizeof line, "MAIL FROM:<%.*s>", (int)from.n, from.p ? from.p : "");
    if (s->caps.caps & DM_CAP_SIZE)
        n += snprintf(line + n, sizeof line - (size_t)n, " SIZE=%llu", (unsigned long long)dm_message_size(m->m));
    if (dm_message_8bit(m->m)) snprintf(line + n, sizeof line - (size_t)n, " BODY=8BITMIME");
    say(s, MAIL, m, 0, line);
}

static void say_rcpt(dm_smtp *s, slot *m, size_t i) {
    char line[DM_AUTH_LINE];
    dm_view to = dm_message_rcpt(m->m, i);
    snprintf(line, sizeof line, "RCPT TO:<%.*s>", (int)to.n, to.p);
    say(s, RCPT, m, i, line);
}

static slot *next_slot(dm_smtp *s) {
    for (size_t i = 0; i < s->used; i++)
        if (slot_at(s, i)->next == 0 && !slot_at(s, i)->settled) return slot_at(s, i);
    return NULL;
}

static bool waits_for_data(const dm_smtp *s) {
    for (size_t i = 0; i < s->count; i++) {
        kind k = s->queue[(s->head + i) % EXPECTS].kind;
        if (k == DATA || k == LONE_DOT) return true;
    }
    return false;
}

/* May one more command be written now? */
static bool may_say(dm_smtp *s) {
    if (s->count == 0) {
        s->hold = false;
        s->command_bytes = 0;
        return true;
    }
    if (!pipelining(s)) return false;
    if (s->count >= OUTSTANDING || s->command_bytes >= COMMAND_BYTES - DM_AUTH_LINE) s->hold = true;
    return !s->hold;
}

/* Write as many commands as may go out now. A 354 is awaited before a body, and after
** DATA nothing is written until it is answered: if the answer is 354, the next MAIL
** would be content. */
static void pump(dm_smtp *s) {
    while (s->state == READY && !s->sending && !s->quit_out && !waits_for_data(s) && may_say(s)) {
        if (!s->cur) {
            bool alone = s->count == 0;
            bool behind_dot = pipelining(s) && s->count == 1 && s->queue[s->head].kind == DOT;
            slot *m = next_slot(s);
            if (!m) {
                if (!s->quitting || !(alone || behind_dot)) return;
                say(s, QUIT, NULL, 0, "QUIT");
                s->quit_out = true;
                return;
            }
            if (!alone && !(s->pipeline == DM_PIPELINE_OVERLAP && behind_dot)) return;
            if (cannot_carry(s, m)) continue;
            s->cur = m;
        }
        slot *m = s->cur;
        if (s->need_rset) {
            s->need_rset = false;
            say(s, RSET, NULL, 0, "RSET");
        } else if (m->next == 0) {
            m->next = 1;
            say_mail(s, m);
        } else if (m->next <= dm_message_rcpt_count(m->m)) {
            say_rcpt(s, m, m->next++ - 1);
        } else if (dm_message_all_or_none(m->m) && m->accepted < dm_message_rcpt_count(m->m)) {
            return;                         /* RFC 2920, 3.1: behind a DATA of the same group there is no way back */
        } else {
            m->next++;
            s->cur = NULL;
            say(s, DATA, m, 0, "DATA");
        }
    }
}

/* ---- the body ------------------------------------------------------------*/

static void end_body(dm_smtp *s) {
    slot *m = s->sending;
    dm_dot_end(&s->out, &s->dot);
    if (s->trace) dm_buf_addf(&s->shown, "%llu octets of message\r\n.\r\n", (unsigned long long)s->body_octets);
    await(s, DOT, m, 0);
    s->sending = NULL;
    s->dotted = m;
    s->command_bytes = 0;
    pump(s);                    /* overlap: the next envelope, or QUIT, rides behind the dot */
}

/* A body that cannot be brought to its end: the dot never leaves, so the server has
** nothing; but in the middle of a body no other command can be said. */
static void abandon_body(dm_smtp *s, dm_code code, const char *why) {
    slot *m = s->sending ? s->sending : s->dotted;
    settle(m, DM_NOT_SENT, note_words(&m->words, code, DM_STEP_DATA, why, strlen(why)));
    stop_words(s, DM_E_LOST, DM_STEP_DATA, "", "the connection was given up: a message could not be read to its end");
}

/* What the message said of its own bytes: all is well, or it cannot go on. */
static void take_body(dm_smtp *s, dm_code code) {
    if (code == DM_E_FILE) abandon_body(s, DM_E_FILE, "an attachment changed while it was read: its size is not the promised one");
    else if (code != DM_OK) abandon_body(s, code, dm_code_text(code));
}

/* Where a message's bytes go first: most need no dot-stuffing and go out as they are. */
static dm_buf *body_target(dm_smtp *s) { return dm_message_dots(s->sending->m) ? &s->body : &s->out; }

static void count_body(dm_smtp *s, const dm_buf *to, size_t from) {
    dm_view got = {to->p + from, to->n - from};
    if (got.n == 0) return;
    s->body_octets += got.n;
    if (to == &s->body) {
        dm_dot_put(&s->out, &s->dot, got);
        s->body.n = 0;
    } else {                                /* only where the last line ends matters, to dm_dot_end() */
        s->dot.line_start = got.p[got.n - 1] == '\n';
    }
}

/* Bring the next chunk of the body into 'out', or find that bytes of a reader are wanted. */
static void pull_body(dm_smtp *s) {
    while (s->sending && !s->want_body && s->out.n < CHUNK) {
        dm_buf *to = body_target(s);
        size_t from = to->n;
        dm_code code = dm_message_pull(s->sending->m, to, CHUNK - s->out.n, &s->reader, &s->reader_max);
        count_body(s, to, from);
        if (s->out.code) code = s->out.code;
        if (code == DM_AGAIN) s->want_body = true;
        else if (code == DM_END) end_body(s);
        else if (code != DM_OK) take_body(s, code);
    }
}

void dm_smtp_body(dm_smtp *s, dm_view bytes) {
    if (dead(s) || !s->want_body) return;
    s->want_body = false;
    fresh(s);
    dm_buf *to = body_target(s);
    size_t from = to->n;
    dm_code code = dm_message_body(s->sending->m, to, bytes);
    count_body(s, to, from);
    take_body(s, code);
}

void dm_smtp_body_end(dm_smtp *s, const char *why) {
    if (dead(s) || !s->want_body) return;
    s->want_body = false;
    fresh(s);
    if (why) {
        abandon_body(s, DM_E_FILE, why);
        return;
    }
    dm_buf *to = body_target(s);
    size_t from = to->n;
    dm_code code = dm_message_body_end(s->sending->m, to);
    count_body(s, to, from);
    take_body(s, code);
}

/* ---- replies -------------------------------------------------------------*/

static void refuse_session(dm_smtp *s, dm_code code, dm_step step, const dm_reply *r, dm_view in) {
    note why = note_reply(&s->words, code, step, r, in);
    stop(s, why, DM_REFUSED);
    if (r->code != 421) {                   /* RFC 5321, 3.1: a polite goodbye; its answer is not awaited */
        dm_buf_adds(&s->out, "QUIT\r\n");
        if (s->trace) dm_buf_adds(&s->shown, "QUIT\r\n");
    }
}

static void broken(dm_smtp *s, dm_step step, const char *text) {
    stop_words(s, DM_E_PROTOCOL, step, "", text);
}

static void refuse(slot *m, const expect *e, const dm_reply *r, dm_view in) {
    note why = note_reply(&m->words, DM_E_REFUSED, step_of[e->kind], r, in);
    settle(m, DM_REFUSED, why);
}

static void leave_transaction(dm_smtp *s, slot *m) {
    s->need_rset = true;
    if (s->cur == m) s->cur = NULL;
}

static bool add_refusal(slot *m, size_t rcpt, note why) {
    if (m->refused_count == m->refused_cap) {
        size_t cap = m->refused_cap ? m->refused_cap * 2 : 4;
        refusal *list = realloc(m->refused, cap * sizeof *list);
        if (!list) return false;
        m->refused = list;
        m->refused_cap = cap;
    }
    m->refused[m->refused_count].rcpt = rcpt;
    m->refused[m->refused_count++].why = why;
    return true;
}

/* All recipients were wanted, and not all were taken: the first that was refused for good is why, else the first. */
static void settle_none(slot *m) {
    for (size_t i = 0; i < m->refused_count; i++)
        if (m->refused[i].why.said.reply >= 500) settle(m, DM_REFUSED, m->refused[i].why);
    settle(m, DM_NOT_SENT, m->refused[0].why);
}

static void on_rcpt(dm_smtp *s, slot *m, const expect *e, const dm_reply *r, dm_view in, int class) {
    m->answered++;
    if (class == 2) {
        m->accepted++;
    } else {
        note why = note_reply(&m->words, DM_E_REFUSED, DM_STEP_RCPT, r, in);
        if (!add_refusal(m, e->rcpt, why)) {
            stop_words(s, DM_E_MEMORY, DM_STEP_RCPT, "", "not enough memory");
            return;
        }
    }
    if (m->refused_count == 0 || m->answered < dm_message_rcpt_count(m->m)) return;
    bool all = dm_message_all_or_none(m->m);
    if (all || m->accepted == 0) {
        if (all) settle_none(m);
        else settle(m, DM_REFUSED, m->refused[0].why);
        if (s->cur == m) leave_transaction(s, m);       /* DATA was not written yet */
    }
}

static void on_data(dm_smtp *s, slot *m, const expect *e, const dm_reply *r, dm_view in, int class) {
    if (class == 3 && !m->settled) {
        s->sending = m;
        s->dot = (dm_dot){true, false};
        s->body_octets = 0;
        dm_message_rewind(m->m);
        return;
    }
    if (class == 3) {                       /* RFC 2920, 3.1: all recipients refused, and still a 354: an empty body */
        say(s, LONE_DOT, m, 0, ".");
        return;
    }
    if (class == 2) {
        broken(s, DM_STEP_DATA, "the server answered DATA as if a message had come");
        return;
    }
    refuse(m, e, r, in);
    leave_transaction(s, m);
}

static void on_auth(dm_smtp *s, const expect *e, const dm_reply *r, dm_view in, int class) {
    if (class == 2 && e->kind != AUTH_CANCEL) {
        s->state = READY;
    } else if (class == 3) {
        switch (e->kind) {
        case AUTH_PLAIN:                    /* the line would have been too long (or the server wants it apart) */
            say_auth_plain(s, AUTH_PLAIN_DATA);
            break;
        case AUTH_LOGIN:                    /* whatever the prompt says: user first, then password */
            say_auth_word(s, AUTH_LOGIN_USER, &s->user);
            break;
        case AUTH_LOGIN_USER: say_auth_word(s, AUTH_FINAL, &s->password); break;
        default:                            /* RFC 4954, 4: a challenge nobody knows is cancelled */
            say(s, AUTH_CANCEL, NULL, 0, "*");
            break;
        }
    } else if ((r->code == 504 || r->code == 534) && (s->caps.auth & ~s->tried) && e->kind != AUTH_CANCEL) {
        say_auth(s);                        /* this mechanism is not for us; after 535 no other is tried: lock-out */
    } else if (e->kind == AUTH_CANCEL) {
        stop_words(s, DM_E_AUTH, DM_STEP_AUTH, "", "the server asked for something that its way to log in does not have");
    } else {
        refuse_session(s, r->code == 421 ? DM_E_REFUSED : DM_E_AUTH, DM_STEP_AUTH, r, in);
    }
}

static void on_setup(dm_smtp *s, const expect *e, const dm_reply *r, dm_view in, int class) {
    switch (e->kind) {
    case BANNER:
        if (class == 2) say_hello(s, EHLO);
        else refuse_session(s, DM_E_REFUSED, DM_STEP_BANNER, r, in);
        break;
    case EHLO:
        if (class == 2) {
            dm_ehlo_parse(&s->caps, r, in);
            after_hello(s);
        } else if (class == 5) {
            say_hello(s, HELO);             /* RFC 5321, 3.2: an old server */
        } else {
            refuse_session(s, DM_E_REFUSED, DM_STEP_EHLO, r, in);
        }
        break;
    case HELO:
        if (class == 2) after_hello(s);
        else refuse_session(s, DM_E_REFUSED, DM_STEP_EHLO, r, in);
        break;
    default:                                /* STARTTLS */
        if (class == 2) {
            s->state = WANT_TLS;
        } else {
            note why = note_reply(&s->words, DM_E_TLS, DM_STEP_STARTTLS, r, in);
            memcpy(why.said.detail, "clear", 6);
            stop(s, why, DM_NOT_SENT);
        }
        break;
    }
}

static void on_reply(dm_smtp *s, const dm_reply *r, dm_view in) {
    int class = r->code / 100;
    if (s->handed == 0 && s->sending && class > 3) {    /* no in the middle of a body: 552, 421 */
        settle(s->sending, DM_REFUSED, note_reply(&s->sending->words, DM_E_REFUSED, DM_STEP_DATA, r, in));
        stop(s, note_reply(&s->words, DM_E_LOST, DM_STEP_DATA, r, in), DM_NOT_SENT);
        return;
    }
    if (s->handed == 0) {                   /* nobody asked */
        if (r->code == 421) stop(s, note_reply(&s->words, DM_E_LOST, dm_smtp_step(s), r, in), DM_NOT_SENT);
        else broken(s, dm_smtp_step(s), "the server said something before it was asked");
        return;
    }
    expect e = s->queue[s->head];
    s->head = (s->head + 1) % EXPECTS;
    s->count--;
    s->handed--;
    slot *m = e.m;
    if (m) m->open--;
    dm_step step = step_of[e.kind];
    if (class == 3 && (e.kind == MAIL || e.kind == RCPT || e.kind == DOT || e.kind == RSET || step < DM_STEP_AUTH)) {
        broken(s, step, "the server asked for more where it had to say yes or no");
        return;
    }
    switch (e.kind) {
    case BANNER: case EHLO: case HELO: case STARTTLS: on_setup(s, &e, r, in, class); break;
    case AUTH_PLAIN: case AUTH_PLAIN_DATA: case AUTH_LOGIN: case AUTH_LOGIN_USER: case AUTH_FINAL: case AUTH_CANCEL:
        on_auth(s, &e, r, in, class);
        break;
    case MAIL:
        if (class != 2) {
            refuse(m, &e, r, in);
            if (s->cur == m) leave_transaction(s, m);
        }
        break;
    case RCPT:
        if (!m->settled) on_rcpt(s, m, &e, r, in, class);
        break;
    case DATA: on_data(s, m, &e, r, in, class); break;
    case LONE_DOT: s->need_rset = true; break;
    case DOT:
        s->dotted = NULL;
        settle(m, class == 2 ? DM_SENT : DM_REFUSED,
               note_reply(&m->words, class == 2 ? DM_OK : DM_E_REFUSED, DM_STEP_DOT, r, in));
        break;
    case RSET:
        if (class != 2 && r->code != 421) broken(s, step, "the server refused RSET");
        break;
    case QUIT: s->state = OVER; break;
    }
    if (r->code == 421 && !dead(s)) {       /* RFC 5321, 3.8: the server closes; what it did not answer was not sent */
        if (m && m->next > 0 && !m->settled) {
            if (m->refused_count > 0 && dm_message_all_or_none(m->m)) settle_none(m);
            else refuse(m, &e, r, in);
        }
        stop(s, note_reply(&s->words, DM_E_LOST, step, r, in), DM_NOT_SENT);
    }
}

/* A peer that speaks something else: the first octet tells TLS from the rest. */
static const char *garbage_words(const dm_smtp *s) {
    if (s->in.n > 0 && !s->secured && (s->in.p[0] == 0x15 || s->in.p[0] == 0x16))
        return "the server speaks TLS on this port: use smtps://";
    if (s->in.n > 4 && memcmp(s->in.p, "HTTP/", 5) == 0) return "a web server answers on this port";
    return "the server's answer is no SMTP reply";
}

void dm_smtp_feed(dm_smtp *s, dm_view bytes) {
    if (dead(s)) return;
    if (dm_buf_add(&s->in, bytes.p, bytes.n) != DM_OK) {
        broken(s, dm_smtp_step(s), "the server's answer has no end");
        return;
    }
    size_t at = 0;
    while (!dead(s) && at < s->in.n) {
        if (s->state == WANT_TLS) {         /* RFC 3207, 6: what was pushed in clear text would look private */
            broken(s, DM_STEP_STARTTLS, "the server sent clear text behind its answer to STARTTLS");
            break;
        }
        dm_view in = {s->in.p + at, s->in.n - at};
        /* only a line end, or a line that grows too long, or garbage changes the answer */
        if (at == 0 && s->scanned > 4 && s->in.n - s->scanned < DM_REPLY_LINE &&
            !memchr(s->in.p + s->scanned, '\n', s->in.n - s->scanned))
            return;
        dm_reply r;
        long used = dm_reply_parse(in, &r);
        if (used < 0) {
            broken(s, dm_smtp_step(s), garbage_words(s));
            break;
        }
        if (used == 0) break;
        at += (size_t)used;
        on_reply(s, &r, in);
    }
    dm_buf_drop(&s->in, at);
    s->scanned = s->in.n;
}

void dm_smtp_secured(dm_smtp *s) {
    if (s->state != WANT_TLS) return;
    s->secured = true;
    s->caps = (dm_ehlo){0, 0, 0};           /* RFC 3207, 4.2: what was offered in clear text is forgotten */
    s->state = SETUP;
    if (s->tls == DM_TLS_STARTTLS) say_hello(s, EHLO);
    else await_banner(s);
}

void dm_smtp_lost(dm_smtp *s, dm_code code, const char *detail, const char *why) {
    if (dead(s)) return;
    bool settled = true;
    for (size_t i = 0; i < s->used; i++) settled = settled && slot_at(s, i)->settled && slot_at(s, i)->open == 0;
    if (s->quit_out && settled) s->state = OVER;        /* closed instead of 221: success stays success */
    else stop_words(s, code, dm_smtp_step(s), detail, why);
}

void dm_smtp_quit(dm_smtp *s) { s->quitting = true; }

/* ---- what now? -----------------------------------------------------------*/

static void forget_result(dm_smtp *s) {
    if (!s->reported) return;
    slot_clear(s->reported);
    s->reported = NULL;
    s->first = (s->first + 1) % SLOTS;
    s->used--;
}

static bool result_ready(dm_smtp *s) { return s->used > 0 && slot_at(s, 0)->settled && slot_at(s, 0)->open == 0; }

static dm_want report(dm_smtp *s) {
    slot *m = slot_at(s, 0);
    if (m->refused_count > s->report_cap) {
        dm_refusal *list = realloc(s->report, m->refused_count * sizeof *list);
        if (list) {
            s->report = list;
            s->report_cap = m->refused_count;
        }
    }
    s->reported = m;
    return DM_WANT_RESULT;
}

dm_want dm_smtp_next(dm_smtp *s, dm_view *data, int *reader, size_t *max) {
    *data = (dm_view){NULL, 0};
    forget_result(s);
    fresh(s);                               /* asked again: it was sent whole */
    if (s->state == START) {
        s->state = s->tls == DM_TLS_IMPLICIT ? WANT_TLS : SETUP;
        if (s->state == SETUP) await_banner(s);
    }
    /* results first: whoever hears one may push another message, which then rides along,
    ** and the message whose body is wanted is always the oldest one not reported */
    if (result_ready(s)) return report(s);
    if (s->sending && !s->want_body) pull_body(s);
    else pump(s);
    if (!dead(s) && (s->out.code || s->shown.code)) stop_words(s, DM_E_MEMORY, dm_smtp_step(s), "", "not enough memory");
    if (s->out.n > 0) {
        s->out_handed = true;
        s->handed = s->count;
        if (s->dotted) s->dotted->dot_out = true;
        *data = dm_buf_view(&s->out);
        return DM_WANT_WRITE;
    }
    if (s->want_body) {
        *reader = s->reader;
        *max = s->reader_max;
        return DM_WANT_BODY;
    }
    if (result_ready(s)) return report(s);      /* settled just now: by a limit of the server, or a failure */
    switch (s->state) {
    case OVER: return s->failed ? DM_WANT_FAIL : DM_WANT_DONE;
    case WANT_TLS: return DM_WANT_TLS;
    case READY: return s->used == 0 && s->count == 0 ? DM_WANT_IDLE : DM_WANT_READ;
    default: return DM_WANT_READ;
    }
}

void dm_smtp_result(dm_smtp *s, dm_result *out) {
    memset(out, 0, sizeof *out);
    const slot *m = s->reported;
    if (!m) return;
    out->n = m->n;
    out->outcome = m->outcome;
    out->said = note_said(&m->why, &m->words);
    out->refused = s->report;
    out->refused_count = m->refused_count < s->report_cap ? m->refused_count : s->report_cap;
    for (size_t i = 0; i < out->refused_count; i++) {
        s->report[i].rcpt = m->refused[i].rcpt;
        s->report[i].said = note_said(&m->refused[i].why, &m->words);
    }
}

void dm_smtp_error(const dm_smtp *s, dm_said *out) { *out = note_said(&s->error, &s->words); }

dm_view dm_smtp_shown(const dm_smtp *s) { return dm_buf_view(&s->shown); }

const dm_ehlo *dm_smtp_caps(const dm_smtp *s) { return &s->caps; }
