/* sign.c - request signatures V1 (HMAC-SHA1) and V3 (ACS3-HMAC-SHA256) of Alibaba Cloud's RPC API. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A V1 text is up to five times its parameters, and what may be sent is a few MB. */
#define LIMIT ((size_t)64 << 20)
/* A buffer that one large request has blown up is given back. */
#define KEEP ((size_t)64 << 10)

enum {
    PAIRS,                      /* dm_pair[]: what is sorted just now */
    QUERY, TEXT, REQUEST,       /* canonical query, string to sign, canonical request */
    NAMES,                      /* SignedHeaders */
    PAYLOAD,                    /* hex of the body's hash */
    SIGNATURE, AUTHORIZATION,
    BODY, TARGET,
    SECRET,                     /* V1's key; wiped as soon as it was used */
    BUFFERS
};

struct dm_signer {
    dm_digest *digest;
    dm_buf b[BUFFERS];
};

const char *dm_scheme_name(dm_scheme scheme) { return scheme == DM_SIGN_V1 ? "HMAC-SHA1" : "ACS3-HMAC-SHA256"; }

dm_signer *dm_signer_new(void) {
    dm_signer *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    for (int i = 0; i < BUFFERS; i++) dm_buf_init(&s->b[i], LIMIT);
    s->digest = dm_digest_new();
    if (!s->digest) {
        dm_signer_free(s);
        return NULL;
    }
    return s;
}

/* Wiped, not only freed: a signed text holds the token and the mail. */
void dm_signer_free(dm_signer *s) {
    if (!s) return;
    for (int i = 0; i < BUFFERS; i++) dm_buf_wipe(&s->b[i]);
    dm_digest_free(s->digest);
    free(s);
}

static void begin(dm_signer *s) {
    for (int i = 0; i < BUFFERS; i++) {
        if (s->b[i].code != DM_OK || s->b[i].cap > KEEP) dm_buf_wipe(&s->b[i]);
        s->b[i].n = 0;
    }
}

static dm_code no_memory(dm_error *err) { return dm_fail(err, DM_E_MEMORY, "", "there is not enough memory to sign the request"); }

/* The first failure sticks in its buffer, so one look at the end is enough. */
static dm_code finish(const dm_signer *s, dm_error *err) {
    for (int i = 0; i < BUFFERS; i++) {
        if (s->b[i].code == DM_E_SIZE)
            return dm_fail(err, DM_E_SIZE, "", "the text to sign is larger than %zu MiB", LIMIT >> 20);
        if (s->b[i].code != DM_OK) return no_memory(err);
    }
    return DM_OK;
}

/* ---- what may be signed -------------------------------------------------*/

/* Fail for "group.name"; the name comes from outside, so it is cut and made printable. */
static dm_code fail_pair(dm_error *err, dm_code code, const char *group, dm_view name, const char *format, ...) {
    char field[64], detail[256];
    size_t n = 0, max = sizeof field - 1;
    while (*group && n < max) field[n++] = *group++;
    if (n < max) field[n++] = '.';
    for (size_t i = 0; i < name.n && n < max; i++)
        field[n++] = name.p[i] > ' ' && name.p[i] <= '~' ? name.p[i] : '?';
    field[n] = '\0';
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    return dm_fail(err, code, field, "%s", detail);
}

/* What the service would decode from broken UTF-8 is unknown, so is its signature. */
static dm_code check_utf8(const char *group, const dm_pair *p, dm_error *err) {
    size_t where = 0;
    if (!dm_utf8_valid(p->name, &where))
        return fail_pair(err, DM_E_CONTENT, group, p->name, "its name is not UTF-8 at byte %zu", where + 1);
    if (!dm_utf8_valid(p->value, &where))
        return fail_pair(err, DM_E_CONTENT, group, p->name, "its value is not UTF-8 at byte %zu", where + 1);
    return DM_OK;
}

static dm_code check_params(const char *group, const dm_pair *pairs, size_t n, dm_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].name.n == 0) return dm_fail(err, DM_E_OPTION, group, "a parameter has no name");
        dm_code code = check_utf8(group, &pairs[i], err);
        if (code != DM_OK) return code;
    }
    return DM_OK;
}

/* RFC 9110, 5.6.2 */
static bool is_token(dm_view v) {
    for (size_t i = 0; i < v.n; i++) {
        int c = (unsigned char)v.p[i];
        if (!dm_is_alpha(c) && !dm_is_digit(c) && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return v.n > 0;
}

static bool is_printable(dm_view v) {       /* ASCII without blanks */
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] > '~') return false;
    return true;
}

static dm_code check_headers(const dm_pair *headers, size_t n, dm_error *err) {
    if (n == 0) return dm_fail(err, DM_E_OPTION, "headers", "there are none; V3 signs at least host");
    for (size_t i = 0; i < n; i++) {
        const dm_pair *h = &headers[i];
        if (!is_token(h->name))
            return fail_pair(err, DM_E_OPTION, "headers", h->name, "this is no name of a header (letters, digits and hyphens)");
        for (size_t j = 0; j < h->value.n; j++)         /* CR and LF would begin another header */
            if (dm_is_control((unsigned char)h->value.p[j]) && h->value.p[j] != '\t')
                return fail_pair(err, DM_E_OPTION, "headers", h->name, "a control character stands at byte %zu", j + 1);
        dm_code code = check_utf8("headers", h, err);
        if (code != DM_OK) return code;
    }
    return DM_OK;
}

/* Methods are case-sensitive (RFC 9110, 9.1). An empty one is signed: the vendor's own test does. */
static dm_code check_method(dm_view method, dm_error *err) {
    for (size_t i = 0; i < method.n; i++)
        if (method.p[i] < 'A' || method.p[i] > 'Z')
            return dm_fail(err, DM_E_OPTION, "http_method", "write the method in capitals, as it is sent: \"POST\", \"GET\"");
    return DM_OK;
}

static dm_code check_path(dm_view path, dm_error *err) {
    if (path.n == 0) return DM_OK;
    if (path.p[0] != '/') return dm_fail(err, DM_E_OPTION, "path", "it does not begin with \"/\"");
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= ' ' || path.p[i] > '~' || path.p[i] == '?' || path.p[i] == '#')
            return dm_fail(err, DM_E_OPTION, "path", "byte %zu must be percent-encoded (what follows \"?\" belongs in query)", i + 1);
    return DM_OK;
}

static dm_code check_key(dm_scheme scheme, const dm_key *key, dm_error *err) {
    if (key->secret.n == 0) return dm_fail(err, DM_E_CREDENTIALS, "access_key_secret", "it is empty");
    if (scheme == DM_SIGN_V3 && (!is_printable(key->id) || (key->id.n && memchr(key->id.p, ',', key->id.n))))
        return dm_fail(err, DM_E_CREDENTIALS, "access_key_id", "a blank, comma or control character is in it; such an id does not exist");
    return DM_OK;
}

/* ---- sorting and encoding -----------------------------------------------*/

static int compare(dm_view a, dm_view b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* Raw names in byte order: "Foo" before "Foo.1", "Foo.10" before "Foo.2". */
static int by_name(const void *a, const void *b) {
    return compare(((const dm_pair *)a)->name, ((const dm_pair *)b)->name);
}

static int compare_names(dm_view a, dm_view b) {
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int c = dm_lower((unsigned char)a.p[i]) - dm_lower((unsigned char)b.p[i]);
        if (c) return c;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static int by_header(const void *a, const void *b) {
    const dm_pair *x = a, *y = b;
    int c = compare_names(x->name, y->name);
    return c ? c : compare(x->value, y->value);
}

static void gather(dm_signer *s, const dm_pair *pairs, size_t n) {
    if (n > SIZE_MAX / sizeof *pairs) s->b[PAIRS].code = DM_E_SIZE;
    dm_buf_add(&s->b[PAIRS], pairs, n * sizeof *pairs);
}

static dm_pair *gathered(const dm_signer *s, size_t *n) {
    *n = s->b[PAIRS].n / sizeof(dm_pair);
    return (dm_pair *)(void *)s->b[PAIRS].p;        /* realloc() aligns for any type */
}

static void encode(dm_buf *once, dm_buf *twice, dm_view v) {
    if (twice)
        dm_percent_twice(once, twice, v);
    else
        dm_percent(once, v);
}

/* Write what was gathered as name=value&..., sorted, into 'once' and, unless it is
** NULL, that text encoded once more into 'twice'. */
static dm_code encode_pairs(dm_signer *s, const char *group, dm_buf *once, dm_buf *twice, dm_error *err) {
    size_t n;
    dm_pair *p = gathered(s, &n);
    if (s->b[PAIRS].code != DM_OK) return finish(s, err);
    if (n > 1) qsort(p, n, sizeof *p, by_name);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            if (by_name(&p[i - 1], &p[i]) == 0)
                return fail_pair(err, DM_E_OPTION, group, p[i].name, "it stands twice; number the entries of a list: Name.1, Name.2");
            dm_buf_addc(once, '&');
            if (twice) dm_buf_adds(twice, "%26");
        }
        encode(once, twice, p[i].name);
        dm_buf_addc(once, '=');
        if (twice) dm_buf_adds(twice, "%3D");
        encode(once, twice, p[i].value);
    }
    s->b[PAIRS].n = 0;
    return DM_OK;
}

/* ---- V1 -----------------------------------------------------------------*/

/* Sign what was gathered. */
static dm_code sign_v1(dm_signer *s, const char *group, dm_view method, const dm_key *key, dm_error *err) {
    dm_buf *text = &s->b[TEXT], *secret = &s->b[SECRET];
    dm_buf_addv(text, method);
    dm_buf_adds(text, "&%2F&");             /* the path is always "/" */
    dm_code code = encode_pairs(s, group, &s->b[QUERY], text, err);
    if (code != DM_OK) return code;
    dm_buf_addv(secret, key->secret);
    dm_buf_addc(secret, '&');               /* with temporary credentials too */
    code = finish(s, err);
    unsigned char mac[DM_SHA1_SIZE];
    if (code == DM_OK && dm_digest_hmac(s->digest, DM_SHA1, dm_buf_view(secret), dm_buf_view(text), mac) != DM_OK)
        code = no_memory(err);
    dm_buf_wipe(secret);
    if (code == DM_OK && dm_base64(&s->b[SIGNATURE], (dm_view){(const char *)mac, sizeof mac}) != DM_OK)
        code = no_memory(err);
    return code;
}

/* ---- V3 -----------------------------------------------------------------*/

static dm_code add_sha256(dm_signer *s, dm_buf *out, dm_view in) {
    unsigned char hash[DM_SHA256_SIZE];
    if (dm_digest_sha256(s->digest, in, hash) != DM_OK) return DM_E_MEMORY;
    return dm_hex(out, (dm_view){(const char *)hash, sizeof hash});
}

/* The vendor's SDKs escape these three in a path and leave the rest as it was sent. */
static void add_path(dm_buf *out, dm_view path) {
    if (path.n == 0) dm_buf_addc(out, '/');
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == '+') {
            dm_buf_adds(out, "%20");
        } else if (c == '*') {
            dm_buf_adds(out, "%2A");
        } else if (c == '%' && path.n - i > 2 && path.p[i + 1] == '7' && path.p[i + 2] == 'E') {
            dm_buf_addc(out, '~');
            i += 2;
        } else {
            dm_buf_addc(out, c);
        }
    }
}

static void add_lower(dm_buf *out, dm_view v) {
    char *to = dm_buf_room(out, v.n);
    if (!to) return;
    for (size_t i = 0; i < v.n; i++) to[i] = (char)dm_lower((unsigned char)v.p[i]);
    out->n += v.n;
}

static dm_view trim(dm_view v) {
    while (v.n && dm_is_blank(v.p[0])) v.p++, v.n--;
    while (v.n && dm_is_blank(v.p[v.n - 1])) v.n--;
    return v;
}

/* name:value\n for each header, and the names for SignedHeaders. A name that stands
** twice has its values sorted and joined, as the SDKs do. */
static void add_headers(dm_signer *s, const dm_pair *headers, size_t n) {
    dm_buf *out = &s->b[REQUEST], *names = &s->b[NAMES];
    gather(s, headers, n);
    dm_pair *h = gathered(s, &n);
    if (s->b[PAIRS].code != DM_OK) return;
    for (size_t i = 0; i < n; i++) h[i].value = trim(h[i].value);
    if (n > 1) qsort(h, n, sizeof *h, by_header);
    for (size_t i = 0; i < n; i++) {
        bool again = i > 0 && compare_names(h[i - 1].name, h[i].name) == 0;
        if (again) {
            dm_buf_addc(out, ',');
        } else {
            if (i > 0) {
                dm_buf_addc(out, '\n');
                dm_buf_addc(names, ';');
            }
            add_lower(out, h[i].name);
            dm_buf_addc(out, ':');
            add_lower(names, h[i].name);
        }
        dm_buf_addv(out, h[i].value);
    }
    dm_buf_addc(out, '\n');
    s->b[PAIRS].n = 0;
}

/* PAYLOAD has been filled: a call needs it among its headers. */
static dm_code sign_v3(dm_signer *s, const dm_request *in, const dm_key *key, dm_error *err) {
    dm_buf *request = &s->b[REQUEST], *text = &s->b[TEXT], *authorization = &s->b[AUTHORIZATION];
    gather(s, in->params, in->param_count);
    dm_code code = encode_pairs(s, "query", &s->b[QUERY], NULL, err);
    if (code != DM_OK) return code;

    dm_buf_addv(request, in->method);
    dm_buf_addc(request, '\n');
    add_path(request, in->path);
    dm_buf_addc(request, '\n');
    dm_buf_addv(request, dm_buf_view(&s->b[QUERY]));
    dm_buf_addc(request, '\n');
    add_headers(s, in->headers, in->header_count);
    dm_buf_addc(request, '\n');
    dm_buf_addv(request, dm_buf_view(&s->b[NAMES]));
    dm_buf_addc(request, '\n');
    dm_buf_addv(request, dm_buf_view(&s->b[PAYLOAD]));
    if ((code = finish(s, err)) != DM_OK) return code;

    dm_buf_adds(text, "ACS3-HMAC-SHA256\n");
    if (add_sha256(s, text, dm_buf_view(request)) != DM_OK) return no_memory(err);
    unsigned char mac[DM_SHA256_SIZE];      /* no '&' behind the secret, unlike V1 */
    if (dm_digest_hmac(s->digest, DM_SHA256, key->secret, dm_buf_view(text), mac) != DM_OK) return no_memory(err);
    dm_hex(&s->b[SIGNATURE], (dm_view){(const char *)mac, sizeof mac});
    if (key->id.n) {
        dm_buf_adds(authorization, "ACS3-HMAC-SHA256 Credential=");
        dm_buf_addv(authorization, key->id);
        dm_buf_adds(authorization, ",SignedHeaders=");
        dm_buf_addv(authorization, dm_buf_view(&s->b[NAMES]));
        dm_buf_adds(authorization, ",Signature=");
        dm_buf_addv(authorization, dm_buf_view(&s->b[SIGNATURE]));
    }
    return finish(s, err);
}

/* ---- a request as it stands ---------------------------------------------*/

static void publish(const dm_signer *s, dm_scheme scheme, dm_signed *out) {
    const dm_view none = {NULL, 0};
    out->canonical_query = dm_buf_view(&s->b[QUERY]);
    out->string_to_sign = dm_buf_view(&s->b[TEXT]);
    out->signature = dm_buf_view(&s->b[SIGNATURE]);
    out->canonical_request = scheme == DM_SIGN_V3 ? dm_buf_view(&s->b[REQUEST]) : none;
    out->hashed_payload = scheme == DM_SIGN_V3 ? dm_buf_view(&s->b[PAYLOAD]) : none;
    out->authorization = s->b[AUTHORIZATION].n ? dm_buf_view(&s->b[AUTHORIZATION]) : none;
}

dm_code dm_sign(dm_signer *s, const dm_request *in, const dm_key *key, dm_signed *out, dm_error *err) {
    const bool v3 = in->scheme == DM_SIGN_V3;
    dm_code code;
    begin(s);
    if ((code = check_method(in->method, err)) != DM_OK) return code;
    if ((code = check_key(in->scheme, key, err)) != DM_OK) return code;
    if ((code = check_params(v3 ? "query" : "params", in->params, in->param_count, err)) != DM_OK) return code;
    if (v3) {
        if ((code = check_path(in->path, err)) != DM_OK) return code;
        if ((code = check_headers(in->headers, in->header_count, err)) != DM_OK) return code;
        if (add_sha256(s, &s->b[PAYLOAD], in->body) != DM_OK) return no_memory(err);
        code = sign_v3(s, in, key, err);
    } else {
        for (size_t i = 0; i < in->param_count; i++)
            if (!dm_view_is(in->params[i].name, "Signature")) gather(s, &in->params[i], 1);
        code = sign_v1(s, "params", in->method, key, err);
    }
    if (code == DM_OK) publish(s, in->scheme, out);
    return code;
}

/* ---- a call of ours -----------------------------------------------------*/

static dm_code check_utc(dm_view utc, dm_error *err) {
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    bool good = utc.n == sizeof shape - 1;
    for (size_t i = 0; good && i < utc.n; i++)
        good = shape[i] == 'd' ? dm_is_digit((unsigned char)utc.p[i]) : utc.p[i] == shape[i];
    return good ? DM_OK : dm_fail(err, DM_E_OPTION, "utc", "write the time as 2026-11-23T12:34:56Z: UTC, no fraction, no offset");
}

/* A blank or line end from copying is the usual reason for InvalidAccessKeyId.NotFound
** and SignatureDoesNotMatch. */
static dm_code check_clean(const char *field, dm_view v, dm_error *err) {
    if (trim(v).n != v.n || !dm_one_line(v))
        return dm_fail(err, DM_E_CREDENTIALS, field, "a blank or line end stands in it; remove it where the value is set");
    return DM_OK;
}

static dm_code check_call(const dm_call *in, const dm_key *key, dm_error *err) {
    static const char *const added[] = {"AccessKeyId", "Action", "Format", "SecurityToken", "Signature", "SignatureMethod",
                                        "SignatureNonce", "SignatureVersion", "Timestamp", "Version"};
    const struct {
        const char *field;
        dm_view v;
    } words[] = {{"host", in->host}, {"action", in->action}, {"api_version", in->version}, {"nonce", in->nonce}};
    const struct {
        const char *group;
        const dm_pair *p;
        size_t n;
    } groups[] = {{"query", in->query, in->query_count}, {"form", in->form, in->form_count}};
    const bool get = dm_view_is(in->method, "GET");
    dm_code code;

    if (!get && !dm_view_is(in->method, "POST")) return dm_fail(err, DM_E_OPTION, "method", "it is neither \"POST\" nor \"GET\"");
    if (get && in->form_count) return dm_fail(err, DM_E_OPTION, "form", "GET has no body; use query or POST");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (words[i].v.n == 0 || !is_printable(words[i].v))
            return dm_fail(err, DM_E_OPTION, words[i].field, "it is empty, or a blank or a character beyond ASCII stands in it");
    if ((code = check_path(in->path, err)) != DM_OK) return code;
    if (in->scheme == DM_SIGN_V1 && in->path.n && !dm_view_is(in->path, "/"))
        return dm_fail(err, DM_E_OPTION, "path", "V1 signs \"/\" and no other path");
    if ((code = check_utc(in->utc, err)) != DM_OK) return code;

    if (key->id.n == 0) return dm_fail(err, DM_E_CREDENTIALS, "access_key_id", "it is empty");
    if ((code = check_clean("access_key_id", key->id, err)) != DM_OK) return code;
    if ((code = check_clean("access_key_secret", key->secret, err)) != DM_OK) return code;
    if ((code = check_clean("security_token", key->token, err)) != DM_OK) return code;
    if ((code = check_key(in->scheme, key, err)) != DM_OK) return code;
    size_t where;
    if (!dm_utf8_valid(key->id, &where)) return dm_fail(err, DM_E_CREDENTIALS, "access_key_id", "it is not UTF-8");
    if (!dm_utf8_valid(key->token, &where)) return dm_fail(err, DM_E_CREDENTIALS, "security_token", "it is not UTF-8");

    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        if ((code = check_params(groups[g].group, groups[g].p, groups[g].n, err)) != DM_OK) return code;
        for (size_t i = 0; in->scheme == DM_SIGN_V1 && i < groups[g].n; i++)
            for (size_t j = 0; j < sizeof added / sizeof added[0]; j++)
                if (dm_view_is(groups[g].p[i].name, added[j]))
                    return fail_pair(err, DM_E_OPTION, groups[g].group, groups[g].p[i].name, "signing adds this parameter itself; leave it out");
    }
    return DM_OK;
}

static void give(dm_ready *out, const char *name, dm_view value) {
    out->headers[out->header_count++] = (dm_pair){dm_view_of(name), value};
}

static dm_code call_v1(dm_signer *s, const dm_call *in, const dm_key *key, dm_ready *out, dm_error *err) {
    const dm_pair common[] = {
        {dm_view_of("AccessKeyId"), key->id},
        {dm_view_of("Action"), in->action},
        {dm_view_of("Format"), dm_view_of("JSON")},         /* the service says XML when it is missing */
        {dm_view_of("SignatureMethod"), dm_view_of("HMAC-SHA1")},
        {dm_view_of("SignatureNonce"), in->nonce},
        {dm_view_of("SignatureVersion"), dm_view_of("1.0")},
        {dm_view_of("Timestamp"), in->utc},
        {dm_view_of("Version"), in->version},
        {dm_view_of("SecurityToken"), key->token},
    };
    gather(s, common, sizeof common / sizeof common[0] - (key->token.n == 0));
    gather(s, in->query, in->query_count);
    gather(s, in->form, in->form_count);
    dm_code code = sign_v1(s, in->form_count ? "form" : "query", in->method, key, err);
    if (code != DM_OK) return code;

    const bool get = dm_view_is(in->method, "GET");
    dm_buf *carrier = &s->b[get ? TARGET : BODY];
    dm_buf_adds(&s->b[TARGET], get ? "/?" : "/");
    dm_buf_addv(carrier, dm_buf_view(&s->b[QUERY]));
    dm_buf_adds(carrier, "&Signature=");
    dm_percent(carrier, dm_buf_view(&s->b[SIGNATURE]));
    if (!get) give(out, "Content-Type", dm_view_of("application/x-www-form-urlencoded"));
    return finish(s, err);
}

static dm_code call_v3(dm_signer *s, const dm_call *in, const dm_key *key, dm_ready *out, dm_error *err) {
    gather(s, in->form, in->form_count);
    dm_code code = encode_pairs(s, "form", &s->b[BODY], NULL, err);
    if (code != DM_OK) return code;
    if ((code = finish(s, err)) != DM_OK) return code;
    if (add_sha256(s, &s->b[PAYLOAD], dm_buf_view(&s->b[BODY])) != DM_OK) return no_memory(err);

    /* Without a body there is no content type, and none may be sent unsigned. */
    if (in->form_count) give(out, "Content-Type", dm_view_of("application/x-www-form-urlencoded"));
    give(out, "x-acs-action", in->action);
    give(out, "x-acs-version", in->version);
    give(out, "x-acs-date", in->utc);
    give(out, "x-acs-signature-nonce", in->nonce);
    give(out, "x-acs-content-sha256", dm_buf_view(&s->b[PAYLOAD]));
    if (key->token.n) {
        give(out, "x-acs-accesskey-id", key->id);
        give(out, "x-acs-security-token", key->token);      /* raw, not encoded */
    }
    dm_request request = {
        .scheme = DM_SIGN_V3, .method = in->method, .params = in->query, .param_count = in->query_count, .path = in->path,
        .headers = out->headers, .header_count = out->header_count, .body = dm_buf_view(&s->b[BODY]),
    };
    if ((code = sign_v3(s, &request, key, err)) != DM_OK) return code;

    dm_buf *target = &s->b[TARGET];
    if (in->path.n)
        dm_buf_addv(target, in->path);
    else
        dm_buf_addc(target, '/');
    if (s->b[QUERY].n) {
        dm_buf_addc(target, '?');
        dm_buf_addv(target, dm_buf_view(&s->b[QUERY]));
    }
    give(out, "Authorization", dm_buf_view(&s->b[AUTHORIZATION]));
    return finish(s, err);
}

dm_code dm_sign_call(dm_signer *s, const dm_call *in, const dm_key *key, dm_ready *out, dm_error *err) {
    begin(s);
    dm_code code = check_call(in, key, err);
    if (code != DM_OK) return code;
    out->header_count = 0;
    give(out, "Host", in->host);
    code = in->scheme == DM_SIGN_V3 ? call_v3(s, in, key, out, err) : call_v1(s, in, key, out, err);
    if (code != DM_OK) return code;
    give(out, "Accept", dm_view_of("application/json"));     /* never signed */
    out->target = dm_buf_view(&s->b[TARGET]);
    out->body = dm_buf_view(&s->b[BODY]);
    publish(s, in->scheme, &out->how);
    return DM_OK;
}
