/*
** directmail.h - the core of directmail: SMTP, MIME, signing and regions as
** bytes in, bytes out. It does no I/O, knows no Lua, reads no clock and draws
** no dice: whoever owns the socket, the time and the randomness hands them in.
*/
#ifndef DIRECTMAIL_H
#define DIRECTMAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DM_VERSION "0.1.0"

/* ---- errors -------------------------------------------------------------
** One list: the enum, the names and Lua's table all expand it. The words are
** the `code` of a directmail error in Lua; docs/errors.md explains each.
*/
#define DM_ERRORS(X)                                                        \
    X(OPTION,      "an option or argument cannot be used")                  \
    X(ADDRESS,     "a mailbox address cannot be used")                      \
    X(HEADER,      "a header field cannot be written")                      \
    X(FILE,        "a file cannot be read or written")                      \
    X(SIZE,        "the message is too large")                              \
    X(CONTENT,     "the content cannot be sent as it is")                   \
    X(CREDENTIALS, "credentials are missing or unusable")                   \
    X(DNS,         "a host name has no address")                            \
    X(CONNECT,     "no connection was made")                                \
    X(TLS,         "the connection cannot be made private")                 \
    X(TIMEOUT,     "no answer came in time")                                \
    X(LOST,        "the connection was lost")                               \
    X(PROTOCOL,    "the server broke the rules of the protocol")            \
    X(AUTH,        "the server refused the user name or password")          \
    X(REFUSED,     "the server refused")                                    \
    X(THROTTLED,   "the service asks to go slower")                         \
    X(QUOTA,       "the account's quota is used up")                        \
    X(SIGNATURE,   "the service computed another signature")                \
    X(CLOCK,       "the clock is too far from the service's")

typedef enum dm_code {
    DM_OK = 0,
    DM_AGAIN,                   /* more bytes are needed */
    DM_END,                     /* nothing is left */
    DM_E_MEMORY,                /* out of memory, or over a buffer's limit: see dm_buf */
#define DM_X(name, text) DM_E_##name,
    DM_ERRORS(DM_X)
#undef DM_X
    DM_CODES
} dm_code;

const char *dm_code_name(dm_code code);     /* "ADDRESS"; "OK", "AGAIN", "END", "MEMORY" */
const char *dm_code_text(dm_code code);     /* the sentence of the list above */

typedef struct dm_error {
    dm_code code;
    char field[64];             /* what it is about: "Subject", "to", "attachment 2"; may be empty */
    char detail[256];           /* a sentence without full stop, cut to fit; no raw control characters */
} dm_error;

/* Fill 'err' (NULL is fine) and hand 'code' back, so that a caller can return it. */
dm_code dm_fail(dm_error *err, dm_code code, const char *field, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

/* ---- views and buffers --------------------------------------------------*/

/* Somebody else's bytes; each use names their lifetime. {NULL, 0} is "none". */
typedef struct dm_view {
    const char *p;
    size_t n;
} dm_view;

dm_view dm_view_of(const char *text);               /* up to its NUL */
bool dm_view_is(dm_view a, const char *text);       /* equal bytes */
bool dm_view_same(dm_view a, const char *text);     /* equal without regard to ASCII case */

/* A growing buffer with a limit given at birth. The first failure sticks in
** 'code' and later calls do nothing, so a writer may check once, at its end. */
typedef struct dm_buf {
    char *p;
    size_t n, cap, limit;
    dm_code code;               /* DM_OK, or DM_E_MEMORY: no memory, DM_E_SIZE: over the limit */
} dm_buf;

void dm_buf_init(dm_buf *b, size_t limit);          /* cannot fail, allocates nothing */
void dm_buf_clear(dm_buf *b);                       /* frees; usable again as after init */
void dm_buf_wipe(dm_buf *b);                        /* the same, bytes overwritten first: secrets */
char *dm_buf_room(dm_buf *b, size_t n);             /* n writable bytes behind the end; NULL on failure; then b->n += used */
dm_code dm_buf_add(dm_buf *b, const void *p, size_t n);
dm_code dm_buf_adds(dm_buf *b, const char *text);
dm_code dm_buf_addv(dm_buf *b, dm_view v);
dm_code dm_buf_addc(dm_buf *b, char c);
dm_code dm_buf_addf(dm_buf *b, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void dm_buf_drop(dm_buf *b, size_t n);              /* n bytes off the front */
dm_view dm_buf_view(const dm_buf *b);               /* valid until the buffer's next change */
char *dm_buf_take(dm_buf *b, size_t *n);            /* the bytes become yours: free() them */

/* ---- encoders -----------------------------------------------------------
** All append to 'out' and return out->code, or an error of their own. A
** 'column' counts the octets on the current line, for folding.
*/

/* base64, RFC 4648 section 4 and RFC 2045 section 6.8 */
size_t dm_base64_length(size_t n);                  /* octets of n octets encoded on one line */
uint64_t dm_base64_lines_length(uint64_t n);        /* the same in lines of 76, CRLF between them, none behind the last */
dm_code dm_base64(dm_buf *out, dm_view in);         /* one line, padded */
typedef struct dm_base64_lines {                    /* {0} to begin */
    unsigned char held[3];                          /* octets that wait for a group of three */
    unsigned char nheld;
    unsigned char column;                           /* characters on the current line, 0..76 */
} dm_base64_lines;
dm_code dm_base64_put(dm_buf *out, dm_base64_lines *s, dm_view in);     /* any length */
dm_code dm_base64_end(dm_buf *out, dm_base64_lines *s);                 /* the padding; no line end */
dm_code dm_base64_decode(dm_buf *out, dm_view in);  /* white space is skipped; DM_E_CONTENT when it is not base64 */

/* Quoted-printable of a text, RFC 2045 section 6.7: LF, CR and CRLF become hard
** breaks; lines of at most 76; no soft break inside a UTF-8 sequence; a dot or
** "From " at the start of a line is escaped, so the result needs no dot-stuffing. */
dm_code dm_qp(dm_buf *out, dm_view text);

/* UTF-8, RFC 3629: octets of the sequence at 'in', 0 when it is not valid */
size_t dm_utf8_step(dm_view in);
bool dm_utf8_valid(dm_view in, size_t *where);      /* *where: offset of the first bad octet */

/* Header text with encoded words, RFC 2047 (rules 4.40-4.50). *column is where
** the line stands now (after "Subject: " it is 9) and where it ends. */
dm_code dm_word_text(dm_buf *out, dm_view text, size_t *column);        /* unstructured: Subject */
dm_code dm_word_phrase(dm_buf *out, dm_view name, size_t *column);      /* display name: atoms, quoted string or encoded words */
dm_code dm_word_decode(dm_buf *out, dm_view in);    /* liberal; what it cannot decode stays as it is */

/* A parameter of Content-Type or Content-Disposition, written as "; name=value"
** and folded; RFC 2231 with charset and continuations where ASCII does not do. */
dm_code dm_param(dm_buf *out, const char *name, dm_view value, size_t *column);
dm_code dm_param_word(dm_buf *out, const char *name, dm_view value, size_t *column);  /* the value as encoded words in quotes: old readers' `name` */
dm_view dm_param_basename(dm_view path);            /* behind the last / or \ (RFC 2183, 2.3) */

/* Dates, RFC 5322 section 3.3. 'seconds' since 1970 UTC, 'zone' in minutes east. */
dm_code dm_date(dm_buf *out, int64_t seconds, int zone);
dm_code dm_date_parse(dm_view in, int64_t *seconds, int *zone);         /* DM_E_HEADER when it is none */

/* Domains as A-labels (UTS 46, IDNA2008; libidn2 is called in idn.c only). */
dm_code dm_idn(dm_buf *out, dm_view domain, dm_error *err);             /* DM_E_ADDRESS */

/* ---- addresses, RFC 5322 section 3.4 and RFC 5321 section 4.1.2 ---------*/

enum {
    DM_ADDR_QUOTED = 1,         /* quoted local part */
    DM_ADDR_LITERAL = 2,        /* domain is an address literal */
    DM_ADDR_SINGLE = 4,         /* domain has one label */
    DM_ADDR_COMMA = 8,          /* the local part holds a comma: the API's list cannot carry it */
    DM_ADDR_SEMICOLON = 16      /* a ';' stood where a ',' belongs, outside a group */
};

typedef struct dm_mailbox {
    dm_view name;               /* display name, unquoted and decoded to UTF-8; may be empty */
    dm_view address;            /* as it goes on the wire: local@domain, the domain as A-labels */
    size_t local;               /* octets of 'address' before the '@' */
    unsigned flags;
} dm_mailbox;

/* Take the next mailbox off the front of *list. DM_OK, DM_END when nothing is
** left, or DM_E_ADDRESS with err->detail. The views of 'out' lie in 'scratch',
** which is emptied first, and live until its next change. */
dm_code dm_addr_next(dm_view *list, dm_buf *scratch, dm_mailbox *out, dm_error *err);

/* One mailbox and nothing behind it: "a@x" or "Name <a@x>". */
dm_code dm_addr_one(dm_view text, dm_buf *scratch, dm_mailbox *out, dm_error *err);

/* ---- messages -----------------------------------------------------------
** dm_message_new() lays out a whole message, RFC 5322 and MIME: headers and
** texts are encoded at once, attachments when they are pulled, so the size is
** known beforehand and memory stays flat.
*/

typedef enum dm_kind {
    DM_FIELD_TEXT,              /* unstructured text: encoded words, folded */
    DM_FIELD_TOKENS,            /* structured ASCII: folded at blanks only (ids, List-Unsubscribe) */
    DM_FIELD_EXACT,             /* ASCII on one line, never folded (X-AliDM-*) */
    DM_FIELD_MAILBOXES          /* a list of mailboxes */
} dm_kind;

typedef struct dm_field {
    dm_view name;
    dm_kind kind;
    dm_view value;                          /* all kinds but the last */
    const dm_mailbox *mailboxes;            /* name and address are used */
    size_t count;
} dm_field;

typedef struct dm_part {
    dm_view name;               /* file name as people see it, path parts removed; may be empty */
    dm_view type;               /* "type/subtype", parameters as given */
    dm_view cid;                /* an inline part's Content-ID without brackets; empty: attachment */
    dm_view data;               /* its bytes, yours, kept alive until dm_message_free() */
    int reader;                 /* -1: 'data'; else a number that comes back with DM_WANT_BODY */
    uint64_t size;              /* octets that the reader will bring */
} dm_part;

typedef struct dm_mail {
    dm_view mail_from;                      /* envelope: checked addresses; empty = "<>" */
    const dm_view *rcpt_to;
    size_t rcpt_count;
    bool all_or_none;                       /* sent only when the server accepts every recipient */
    const dm_field *fields;                 /* in the order in which they are written */
    size_t field_count;
    dm_view text, html, calendar;           /* UTF-8; p == NULL: none */
    dm_view calendar_method;                /* "REQUEST" */
    const dm_part *parts;
    size_t part_count;
    dm_view raw;                            /* or a whole message as it stands (line ends repaired, no part added) */
    dm_view boundary;                       /* 1..50 characters of RFC 2046's bchars; numbered inside */
} dm_mail;

typedef struct dm_message dm_message;

/* DM_E_HEADER, DM_E_CONTENT, DM_E_SIZE, DM_E_ADDRESS, DM_E_OPTION with err; copies all but parts' data. */
dm_code dm_message_new(dm_message **out, const dm_mail *mail, dm_error *err);
void dm_message_free(dm_message *m);
uint64_t dm_message_size(const dm_message *m);      /* octets of the final message, before dot-stuffing */
bool dm_message_8bit(const dm_message *m);          /* it holds octets over 127 (raw, message/rfc822): needs 8BITMIME */
bool dm_message_dots(const dm_message *m);          /* a line of it may begin with a dot (raw, message/rfc822): needs stuffing */
dm_view dm_message_mail_from(const dm_message *m);  /* the envelope, until dm_message_free() */
size_t dm_message_rcpt_count(const dm_message *m);
dm_view dm_message_rcpt(const dm_message *m, size_t i);
bool dm_message_all_or_none(const dm_message *m);

/* Pull the message. Appends up to about 'max' octets to 'out' (dots not
** stuffed): DM_OK and more is left; DM_END: that was all; DM_AGAIN: bring up to
** *want octets of reader *reader with dm_message_body(), then pull again. */
dm_code dm_message_pull(dm_message *m, dm_buf *out, size_t max, int *reader, size_t *want);
dm_code dm_message_body(dm_message *m, dm_buf *out, dm_view bytes);     /* DM_E_FILE: more than promised */
dm_code dm_message_body_end(dm_message *m, dm_buf *out);                /* DM_E_FILE: less than promised */
void dm_message_rewind(dm_message *m);

/* Dot-stuffing, RFC 5321 section 4.5.2, across chunks. {1}: at a line's start. */
typedef struct dm_dot {
    bool line_start;
    bool cr;
} dm_dot;
dm_code dm_dot_put(dm_buf *out, dm_dot *s, dm_view in);     /* 'in' has CRLF line ends */
dm_code dm_dot_end(dm_buf *out, dm_dot *s);                 /* CRLF if none stands there, then ".\r\n" */

/* ---- SMTP ---------------------------------------------------------------*/

enum { DM_REPLY_LINES = 100, DM_REPLY_LINE = 4096 };    /* a reply without end must not eat our memory */

typedef struct dm_reply {
    int code;
    int lines;
    const char *text;           /* first line's text; the lines are re-read with dm_reply_text() */
    size_t length;              /* octets of the whole reply, line ends included */
    bool bare_lf;               /* a line ended in LF alone */
} dm_reply;

/* Take one whole reply (RFC 5321, 4.2) off the front of 'in'. Returns the octets
** it used (> 0), 0 when more are needed, -1 when no more octets can help.
** Nothing is copied: 'out' points into 'in'. */
long dm_reply_parse(dm_view in, dm_reply *out);
/* Its text, lines joined with '\n', the enhanced code of RFC 2034 taken off into
** 'enhanced' ("5.1.1", or ""). */
dm_code dm_reply_text(dm_buf *out, const dm_reply *r, dm_view in, char enhanced[12]);

enum {                          /* what EHLO offered */
    DM_CAP_PIPELINING = 1, DM_CAP_8BITMIME = 2, DM_CAP_STARTTLS = 4, DM_CAP_SIZE = 8, DM_CAP_DSN = 16,
    DM_CAP_SMTPUTF8 = 32, DM_CAP_ENHANCED = 64, DM_CAP_AUTH = 128,
    DM_AUTH_PLAIN = 1, DM_AUTH_LOGIN = 2
};
typedef struct dm_ehlo {
    unsigned caps;              /* DM_CAP_* */
    unsigned auth;              /* DM_AUTH_* */
    uint64_t size;              /* RFC 1870; 0: no limit said */
} dm_ehlo;
void dm_ehlo_parse(dm_ehlo *out, const dm_reply *r, dm_view in);

typedef enum dm_tls { DM_TLS_STARTTLS, DM_TLS_IMPLICIT } dm_tls;
typedef enum dm_pipeline { DM_PIPELINE_GROUP, DM_PIPELINE_OVERLAP, DM_PIPELINE_OFF } dm_pipeline;

typedef struct dm_smtp_options {            /* all views are copied */
    dm_view ehlo;                           /* name or address literal */
    dm_view user, password;                 /* password.p == NULL: no AUTH */
    dm_tls tls;
    dm_pipeline pipeline;
    bool cleartext_auth;                    /* AUTH without TLS is allowed */
    bool trace;                             /* keep what a transcript may show, see dm_smtp_shown() */
} dm_smtp_options;

typedef enum dm_want {
    DM_WANT_READ,               /* bring bytes with dm_smtp_feed() */
    DM_WANT_WRITE,              /* send all of 'data'; asking again means that it was sent whole */
    DM_WANT_TLS,                /* run the handshake, then dm_smtp_secured() */
    DM_WANT_BODY,               /* bring up to 'max' bytes of a reader with dm_smtp_body() */
    DM_WANT_RESULT,             /* one message is settled: dm_smtp_result() */
    DM_WANT_IDLE,               /* usable: push a message, or quit */
    DM_WANT_DONE,               /* over, all as it should be */
    DM_WANT_FAIL                /* over: dm_smtp_error() says why, now and on every later call */
} dm_want;

typedef enum dm_step {
    DM_STEP_CONNECT, DM_STEP_BANNER, DM_STEP_EHLO, DM_STEP_STARTTLS, DM_STEP_AUTH,
    DM_STEP_MAIL, DM_STEP_RCPT, DM_STEP_DATA, DM_STEP_DOT, DM_STEP_QUIT
} dm_step;
const char *dm_step_name(dm_step step);     /* "connect" ... "quit" */

typedef enum dm_outcome { DM_SENT, DM_REFUSED, DM_NOT_SENT, DM_UNKNOWN } dm_outcome;
const char *dm_outcome_name(dm_outcome o);  /* "sent", "refused", "not_sent", "unknown" */

typedef struct dm_said {                    /* why: a reply, or a failure */
    dm_code code;                           /* DM_OK, DM_E_REFUSED, DM_E_AUTH, DM_E_LOST ... */
    dm_step step;
    int reply;                              /* 0: no reply */
    char enhanced[12];
    char detail[16];                        /* TLS: "clear"; else empty */
    dm_view text;                           /* the server's words, or ours; until the next dm_smtp_next() */
} dm_said;

typedef struct dm_refusal {
    size_t rcpt;                            /* index into dm_mail.rcpt_to */
    dm_said said;
} dm_refusal;

typedef struct dm_result {
    int64_t n;                              /* the number that came with dm_smtp_push() */
    dm_outcome outcome;
    dm_said said;
    const dm_refusal *refused;              /* recipients that were refused */
    size_t refused_count;
} dm_result;

typedef struct dm_smtp dm_smtp;

enum { DM_SMTP_MESSAGES = 4 };              /* pushed and not yet reported: one on the wire, its follower, and room */

/* DM_E_OPTION, DM_E_CREDENTIALS with err: a control character in the EHLO name, NUL in the password ... */
dm_code dm_smtp_new(dm_smtp **out, const dm_smtp_options *options, dm_error *err);
void dm_smtp_free(dm_smtp *s);
/* Another EHLO name, before it was said: an address literal is known only when the connection is. */
dm_code dm_smtp_hello(dm_smtp *s, dm_view name, dm_error *err);
bool dm_smtp_push(dm_smtp *s, int64_t n, dm_message *m);    /* false: takes no more. 'm' lives until after its result */
dm_want dm_smtp_next(dm_smtp *s, dm_view *data, int *reader, size_t *max);
void dm_smtp_feed(dm_smtp *s, dm_view bytes);
void dm_smtp_secured(dm_smtp *s);
void dm_smtp_body(dm_smtp *s, dm_view bytes);
void dm_smtp_body_end(dm_smtp *s, const char *why);         /* NULL: the reader is at its end; else reading failed */
void dm_smtp_result(dm_smtp *s, dm_result *out);            /* after DM_WANT_RESULT, until the next dm_smtp_next() */
void dm_smtp_quit(dm_smtp *s);
/* The connection is gone, or never came. Settles every open message: what the server has
** answered stands, what it may have taken is unknown, the rest was not sent. */
void dm_smtp_lost(dm_smtp *s, dm_code code, const char *detail, const char *why);
void dm_smtp_error(const dm_smtp *s, dm_said *out);
dm_step dm_smtp_step(const dm_smtp *s);                     /* what is waited for or done now: picks the time limit, names the place */
dm_view dm_smtp_shown(const dm_smtp *s);                    /* with 'trace': what the last DM_WANT_WRITE was, secrets masked */
const dm_ehlo *dm_smtp_caps(const dm_smtp *s);

/* ---- signing ------------------------------------------------------------
** Request signing of Alibaba Cloud's RPC API, as its pages print it: V1 (HMAC-SHA1
** in the parameters) https://www.alibabacloud.com/help/en/direct-mail/signature,
** V3 (ACS3-HMAC-SHA256 in a header)
** https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
** Time and nonce are arguments.
*/

/* Percent-encoding, RFC 3986 section 2: A-Z a-z 0-9 - _ . ~ stay, every other octet is %XY. */
dm_code dm_percent(dm_buf *out, dm_view in);
/* The same into 'once', and its encoding encoded again into 'twice', in one pass. Returns the
** first failure of the two; then both hold what they held before. */
dm_code dm_percent_twice(dm_buf *once, dm_buf *twice, dm_view in);

/* Hashes. The object holds the algorithms, looked up once; it is one thread's at a time and
** keeps no key after a call. */
typedef enum dm_hash { DM_SHA1, DM_SHA256 } dm_hash;
enum { DM_SHA1_SIZE = 20, DM_SHA256_SIZE = 32 };
typedef struct dm_digest dm_digest;
dm_digest *dm_digest_new(void);                     /* NULL: no memory, or libcrypto refuses the algorithms */
void dm_digest_free(dm_digest *d);
dm_code dm_digest_sha256(dm_digest *d, dm_view in, unsigned char out[DM_SHA256_SIZE]);
/* RFC 2104; 'out' takes DM_SHA1_SIZE or DM_SHA256_SIZE octets. An empty key is legal. */
dm_code dm_digest_hmac(dm_digest *d, dm_hash hash, dm_view key, dm_view in, unsigned char *out);
dm_code dm_hex(dm_buf *out, dm_view in);            /* small letters */
bool dm_same(dm_view a, dm_view b);                 /* equal, in a time that depends on the lengths only */
/* Is it the signature (RSASSA-PKCS1-v1_5, RFC 8017 8.2) of 'in' by the key in a certificate in PEM? DM_E_SIGNATURE: no;
** DM_E_CONTENT: 'pem' is no certificate with an RSA key. Who issued it and until when it is valid is not looked at. */
dm_code dm_verify(dm_view pem, dm_hash hash, dm_view signature, dm_view in);

typedef struct dm_pair {
    dm_view name, value;
} dm_pair;

typedef struct dm_key {
    dm_view id;
    dm_view secret;                         /* octets as given, never encoded */
    dm_view token;                          /* of temporary credentials; empty: none */
} dm_key;

typedef enum dm_scheme { DM_SIGN_V1, DM_SIGN_V3 } dm_scheme;
const char *dm_scheme_name(dm_scheme scheme);       /* "HMAC-SHA1", "ACS3-HMAC-SHA256" */

typedef struct dm_request {                 /* a request as it stands, to be signed or checked */
    dm_scheme scheme;
    dm_view method;                         /* as sent, in capitals */
    const dm_pair *params;                  /* V1: all parameters; V3: those of the query. Flat, raw, any order */
    size_t param_count;                     /* (V1's own Signature is passed over: it is never signed) */
    dm_view path;                           /* V3, as sent; empty = "/" */
    const dm_pair *headers;                 /* V3: those that are signed, and no others; names in any case */
    size_t header_count;
    dm_view body;                           /* V3, octets as sent */
} dm_request;

typedef struct dm_signed {                  /* views that live until the signer's next call */
    dm_view canonical_query, string_to_sign;
    dm_view signature;                      /* V1 base64, V3 hex */
    dm_view canonical_request, hashed_payload;      /* V3 only */
    dm_view authorization;                  /* V3 only, and only with a key id */
} dm_signed;

/* A signer keeps the buffers between signatures, and no key. One thread's at a time. */
typedef struct dm_signer dm_signer;
dm_signer *dm_signer_new(void);             /* NULL: no memory, or libcrypto refuses the algorithms */
void dm_signer_free(dm_signer *s);

/* Compute every string of a signature. DM_E_OPTION (method, path, header, a name that stands
** twice), DM_E_CONTENT (not UTF-8; the offset is said), DM_E_CREDENTIALS, DM_E_SIZE or
** DM_E_MEMORY, with err->field: "http_method", "params.Subject", "headers.x-acs-date" ... */
dm_code dm_sign(dm_signer *s, const dm_request *in, const dm_key *key, dm_signed *out, dm_error *err);

typedef struct dm_call {                    /* an operation that we are about to call */
    dm_scheme scheme;
    dm_view method;                         /* "POST" or "GET"; GET takes no form */
    dm_view host;                           /* as the Host header will say it, with a port that is not the default */
    dm_view path;                           /* empty = "/", and nothing else with V1 */
    dm_view action, version;                /* "SingleSendMail", "2015-11-23" */
    const dm_pair *query, *form;            /* flat and raw; the fields that signing adds are refused here */
    size_t query_count, form_count;
    dm_view utc;                            /* "2026-11-23T12:34:56Z" */
    dm_view nonce;                          /* never used before: 128 random bits */
} dm_call;

enum { DM_READY_HEADERS = 12 };
typedef struct dm_ready {                   /* what to send; views that live until the signer's next call */
    dm_view target;                         /* path and query */
    dm_pair headers[DM_READY_HEADERS];      /* all but User-Agent and the length; Host and Content-Type must go as they stand */
    size_t header_count;
    dm_view body;
    dm_signed how;
} dm_ready;

/* Build and sign a call. V1 by POST puts all parameters in the form, since long URLs are refused
** with 414; GET puts them in the query. V3 sends 'query' and 'form' where they belong. Errors as
** of dm_sign(); fields are "query.X", "form.X", "action", "api_version", "utc", "nonce" ... */
dm_code dm_sign_call(dm_signer *s, const dm_call *in, const dm_key *key, dm_ready *out, dm_error *err);

/* ---- HTTP heads ---------------------------------------------------------
** HTTP/1.x, RFC 9112 and 9110, both halves. Strict wherever leniency lets two readers of
** the same octets disagree about where a message ends: that is how requests are smuggled.
*/
enum {
    DM_HEAD_OCTETS = 65536,     /* a head without end must not eat our memory */
    DM_HEAD_FIELDS = 100,
    DM_CHUNK_DIGITS = 15,       /* of a chunk's size, leading zeros too: it fits 60 bits */
    DM_CHUNK_EXTRA = 16384      /* octets of extensions and trailers in one body: nobody here reads them */
};

typedef enum dm_head_kind { DM_HEAD_REQUEST, DM_HEAD_RESPONSE } dm_head_kind;

typedef struct dm_head {
    dm_head_kind kind;
    dm_view method, target;     /* of a request; the target is visible ASCII, not looked into */
    int status;                 /* of a response, 100 to 599 */
    dm_view reason;             /* may be empty */
    int minor;                  /* of HTTP/1.minor; more than 1 means what 1 means */
    const dm_pair *fields;      /* the caller's array; blanks around a value are cut off */
    size_t field_count;
    int answer;                 /* after -1: 400, 431 or 505, what a server answers */
    const char *why;            /* after -1: what is wrong, a phrase; else NULL */
} dm_head;

/* Take one head off the front of 'in': the start line, the fields and the empty line. Returns
** the octets it used (> 0), 0 when more are needed, -1 when no more octets can help. Nothing is
** copied: 'out' points into 'in' and 'fields'. One empty line before a request is passed over. */
long dm_head_parse(dm_view in, dm_head_kind kind, dm_pair fields[DM_HEAD_FIELDS], dm_head *out);

typedef enum dm_body_kind { DM_BODY_NONE, DM_BODY_LENGTH, DM_BODY_CHUNKED, DM_BODY_CLOSE } dm_body_kind;
const char *dm_body_name(dm_body_kind kind);        /* "none", "length", "chunked", "close" */

typedef struct dm_body {
    dm_body_kind kind;
    uint64_t length;            /* of DM_BODY_LENGTH, below 2^63 */
    int answer;                 /* after DM_E_PROTOCOL: 400 or 501 */
    const char *why;
} dm_body;

/* How the body behind a head is framed (RFC 9112 section 6.3). 'method' is that of the request which a
** response answers. DM_E_PROTOCOL: the head leaves it open (two framings, two lengths, an unknown coding). */
dm_code dm_head_body(const dm_head *head, dm_view method, dm_body *out);

typedef struct dm_chunk {       /* a chunked body, RFC 9112 section 7.1; {0} to begin */
    int state;
    int digits;
    uint64_t left;
    size_t extra;
} dm_chunk;

/* Take framing and at most one run of the body off the front of 'in': *data points into it and may be
** empty. Returns the octets used, 0 only when 'in' is empty or the body is done, -1 when it is broken. */
long dm_chunk_take(dm_chunk *c, dm_view in, dm_view *data);
bool dm_chunk_done(const dm_chunk *c);              /* the last chunk and its trailers are through */

/* ---- regions ------------------------------------------------------------*/

enum { DM_ROUTE_REASONS = 8, DM_ROUTE_PORTS = 3, DM_REGIONS = 8 };

typedef struct dm_region {
    const char *id, *name;
    const char *api, *api_vpc;
    const char *smtp, *smtp_legacy;         /* NULL: none */
    const char *data;                       /* country code where data lie, "" when not known */
    bool open;                              /* for new accounts */
} dm_region;

const dm_region *dm_regions(size_t *count);
const dm_region *dm_region_find(dm_view id);        /* NULL: Direct Mail has no such region */
const dm_region *dm_region_of_host(dm_view host, bool *legacy);     /* NULL: not Direct Mail's */

typedef struct dm_route_request {
    dm_view deployed;                       /* "cn" "us" "sg" "other" or a region id */
    dm_view recipients;                     /* "cn" "world" */
    dm_view via;                            /* "smtp" "api" */
    const dm_view *residency;               /* country codes that may hold the data */
    size_t residency_count;
    int ecs;                                /* 1 yes, 0 no, -1 not said */
} dm_route_request;

typedef struct dm_route {
    const dm_region *region;
    size_t port_count;
    struct { int port; dm_tls tls; } ports[DM_ROUTE_PORTS];
    size_t reason_count;
    struct { const char *rule; char text[240]; } reasons[DM_ROUTE_REASONS];
} dm_route;

dm_code dm_route_choose(dm_route *out, const dm_route_request *in, dm_error *err);     /* DM_E_OPTION, field and rule named */

#endif
