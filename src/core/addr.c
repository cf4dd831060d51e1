/* addr.c - mailboxes: RFC 5322 section 3.4, within what RFC 5321 section 4.1.2 can carry. */
#include "buf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    LOCAL_MAX = 64,             /* RFC 5321, 4.5.3.1.1 */
    ADDRESS_MAX = 254,          /* RFC 5321, 4.5.3.1.3: a path of 256 with its angle brackets */
    LITERAL_MAX = 64,           /* "IPv6:" and the longest address, roomy */
    SHOWN = 100
};

/* One mailbox on its way through the text. The first fault stands in 'err'. */
typedef struct parser {
    const char *p, *end;
    const char *start;          /* of the mailbox, for the words of an error */
    dm_buf *out;
    dm_error *err;
    dm_code code;
} parser;

/* ---- faults -------------------------------------------------------------*/

/* The mailbox as far as it goes, for a person: whole characters, cut to fit. */
static void show(char shown[SHOWN + 4], const parser *s) {
    const char *stop = s->p;
    while (stop < s->end && *stop != ',' && *stop != ';' && *stop != '\r' && *stop != '\n') stop++;
    while (stop > s->start && dm_is_blank(stop[-1])) stop--;
    size_t n = 0;
    const char *p = s->start;
    while (p < stop) {
        dm_view rest = {p, (size_t)(stop - p)};
        size_t step = dm_utf8_step(rest);
        if (n + (step ? step : 1) > SHOWN) break;
        if (step == 0 || dm_is_control((unsigned char)*p)) {
            shown[n++] = '?';
            p++;
        } else {
            memcpy(shown + n, p, step);
            n += step;
            p += step;
        }
    }
    memcpy(shown + n, p < stop ? "..." : "", p < stop ? 4 : 1);
}

/* 'why' is what follows the mailbox in the sentence. */
static bool fault(parser *s, const char *why) {
    if (s->code != DM_OK) return false;
    dm_view seen = {s->start, (size_t)((s->p < s->end ? s->p + 1 : s->p) - s->start)};
    char shown[SHOWN + 4];
    show(shown, s);
    if (!dm_one_line(seen)) s->code = dm_fail(s->err, DM_E_ADDRESS, "", "\"%s\" holds a line break or NUL", shown);
    else if (shown[0]) s->code = dm_fail(s->err, DM_E_ADDRESS, "", "\"%s\" %s", shown, why);
    else s->code = dm_fail(s->err, DM_E_ADDRESS, "", "an address is missing in front of \"%c\"", *s->p);
    return false;
}

/* The buffer took no more. */
static bool no_room(parser *s) {
    if (s->out->code == DM_E_SIZE) return fault(s, "is longer than an address with its name may be");
    s->code = dm_fail(s->err, DM_E_MEMORY, "", "%s", dm_code_text(DM_E_MEMORY));
    return false;
}

/* ---- the small things of the grammar ------------------------------------*/

static bool at(const parser *s, char c) { return s->p < s->end && *s->p == c; }

/* RFC 5322, 3.2.3: printable ASCII but the specials; RFC 6532 adds what is not ASCII. */
static bool is_atext(unsigned char c) {
    switch (c) {
    case '(': case ')': case '<': case '>': case '[': case ']': case ':': case ';': case '@':
    case '\\': case ',': case '.': case '"': case 127:
        return false;
    default:
        return c > 32;
    }
}

static bool is_word(const parser *s) {          /* atoms with the dots between them */
    return s->p < s->end && (*s->p == '.' || is_atext((unsigned char)*s->p));
}

static void skip_blanks(parser *s) {
    while (s->p < s->end && dm_is_blank(*s->p)) s->p++;
}

/* CFWS without line ends: headers come unfolded, so CR and LF are never at home here. */
static bool skip(parser *s) {
    size_t depth = 0;           /* a counter, since a comment may nest as deep as a stranger likes */
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;
        if (dm_is_control(c) && c != '\t') return fault(s, "holds a control character");
        if (c == '(') depth++;
        else if (depth > 0 && c == ')') depth--;
        else if (depth > 0 && c == '\\' && s->end - s->p > 1 && !dm_is_control((unsigned char)s->p[1])) s->p++;
        else if (depth == 0 && !dm_is_blank(c)) break;
        s->p++;
    }
    return depth == 0 || fault(s, "has a comment without its \")\"");
}

/* The content of a quoted string, quotes and backslashes undone, behind 'out'. */
static bool quoted(parser *s) {
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++) {
        if (*s->p == '\\') {
            if (s->end - s->p < 2) break;
            s->p++;
        }
        if (dm_is_control((unsigned char)*s->p) && *s->p != '\t') return fault(s, "holds a control character");
        dm_buf_addc(s->out, *s->p);
    }
    if (!at(s, '"')) return fault(s, "has a quoted string without its closing quote");
    s->p++;
    return s->out->code == DM_OK || no_room(s);
}

/* ---- addr-spec ----------------------------------------------------------*/

static bool ascii_only(dm_view v) {
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] >= 0x80) return false;
    return true;
}

/* RFC 5322, 3.2.3 */
static bool is_dot_atom(dm_view v) {
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '.' ? i == 0 || i + 1 == v.n || v.p[i - 1] == '.' : !is_atext((unsigned char)v.p[i])) return false;
    }
    return v.n > 0;
}

/* The local part as it goes on the wire, behind 'out': in quotes only where it needs them
** (RFC 5321, 4.1.2, asks for the least quoting). */
static bool local_part(parser *s, dm_mailbox *box) {
    dm_buf *out = s->out;
    size_t start = out->n;
    bool was_quoted = at(s, '"');
    if (was_quoted) {
        if (!quoted(s)) return false;
    } else {
        const char *from = s->p;
        while (is_word(s)) s->p++;
        dm_buf_add(out, from, (size_t)(s->p - from));
        if (out->code != DM_OK) return no_room(s);
    }
    dm_view text = {out->p ? out->p + start : NULL, out->n - start};
    if (!was_quoted && text.n == 0)
        return fault(s, at(s, '@') ? "has nothing before its \"@\"" : "has a character that needs quotes");
    if (!ascii_only(text))
        return fault(s, "has letters other than ASCII before its \"@\": that needs SMTPUTF8, which neither the service "
                        "offers nor directmail supports");
    if (!was_quoted && !is_dot_atom(text)) return fault(s, "has a dot at an end of the part before its \"@\", or two dots together");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ',') box->flags |= DM_ADDR_COMMA;
        /* RFC 5321's qtextSMTP has no tab, though RFC 5322's FWS has */
        if (dm_is_control((unsigned char)text.p[i])) return fault(s, "holds a control character");
    }
    if (was_quoted && !is_dot_atom(text)) {
        size_t escapes = 0;
        for (size_t i = 0; i < text.n; i++) escapes += text.p[i] == '"' || text.p[i] == '\\';
        if (!dm_buf_room(out, escapes + 2)) return no_room(s);
        size_t to = out->n + escapes + 2;
        out->p[--to] = '"';
        for (size_t from = out->n; from > start; from--) {      /* from the end, in place */
            char c = out->p[from - 1];
            out->p[--to] = c;
            if (c == '"' || c == '\\') out->p[--to] = '\\';
        }
        out->p[start] = '"';
        out->n += escapes + 2;
        box->flags |= DM_ADDR_QUOTED;
    }
    if (out->n - start > LOCAL_MAX) return fault(s, "has more than 64 octets before its \"@\"");
    return true;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", RFC 5321, 4.1.3 */
static bool literal(parser *s) {
    const char *from = s->p;
    while (s->p < s->end && *s->p != ']' && !dm_is_control((unsigned char)*s->p)) s->p++;
    if (s->p == s->end) return fault(s, "has an address literal without its \"]\"");
    if (*s->p != ']') return fault(s, "holds a control character");
    size_t n = (size_t)(s->p - from) - 1;
    char text[LITERAL_MAX + 1];
    unsigned char address[16];
    bool good = n <= LITERAL_MAX;
    if (good) {
        dm_view tag = {from + 1, n < 5 ? n : 5};
        memcpy(text, from + 1, n);
        text[n] = '\0';
        good = dm_view_same(tag, "IPv6:") ? inet_pton(AF_INET6, text + 5, address) == 1 : inet_pton(AF_INET, text, address) == 1;
    }
    if (!good) return fault(s, "has no IP address between its brackets: write [192.0.2.1] or [IPv6:2001:db8::1]");
    s->p++;
    return dm_buf_add(s->out, from, n + 2) == DM_OK || no_room(s);
}

static bool has_wide_separator(dm_view v) {     /* U+FF0C and U+FF1B, from a Chinese keyboard */
    for (size_t i = 0; i + 2 < v.n; i++)
        if (memcmp(v.p + i, "\xef\xbc\x8c", 3) == 0 || memcmp(v.p + i, "\xef\xbc\x9b", 3) == 0) return true;
    return false;
}

static bool domain(parser *s, dm_mailbox *box) {
    if (!skip(s)) return false;
    if (at(s, '[')) {
        box->flags |= DM_ADDR_LITERAL;
        return literal(s) && skip(s);
    }
    dm_view name = {s->p, 0};
    while (is_word(s)) s->p++;
    name.n = (size_t)(s->p - name.p);
    if (name.n == 0) return fault(s, "has no domain behind its \"@\"");
    if (has_wide_separator(name)) return fault(s, "holds a full-width comma or semicolon: separate addresses with \",\"");
    size_t start = s->out->n;
    dm_code code = dm_idn(s->out, name, s->err);
    if (code == DM_E_ADDRESS) s->code = code;       /* its sentence names the domain */
    else if (code != DM_OK) no_room(s);
    if (code != DM_OK) return false;
    if (!memchr(s->out->p + start, '.', s->out->n - start)) box->flags |= DM_ADDR_SINGLE;
    return skip(s);
}

/* local-part "@" domain, behind 'out' */
static bool addr_spec(parser *s, dm_mailbox *box) {
    size_t start = s->out->n;
    if (!skip(s) || !local_part(s, box)) return false;
    box->local = s->out->n - start;
    if (!skip(s)) return false;
    if (s->p == s->end || at(s, ',') || at(s, ';')) return fault(s, "has no \"@\"");
    if (!at(s, '@')) return fault(s, "has no \"@\" where one belongs: quote a local part with blanks or specials");
    s->p++;
    if (dm_buf_addc(s->out, '@') != DM_OK) return no_room(s);
    if (!domain(s, box)) return false;
    if (at(s, '@')) return fault(s, "has a second \"@\"");
    if (s->out->n - start > ADDRESS_MAX) return fault(s, "is longer than the 254 octets that SMTP carries");
    return true;
}

/* RFC 5322, 4.4: "@a.example,@b.example:" says by which hosts a mail should go. It is read and dropped. */
static bool route(parser *s) {
    size_t start = s->out->n;
    while (at(s, '@')) {
        dm_mailbox none = {0};
        s->p++;
        if (!domain(s, &none)) return false;
        s->out->n = start;
        if (at(s, ':')) {
            s->p++;
            return true;
        }
        if (!at(s, ',')) return fault(s, "begins with \"@\" inside its angle brackets and is no address");
        s->p++;
        if (!skip(s)) return false;
    }
    return fault(s, "begins with \"@\" inside its angle brackets and is no address");
}

static bool angle_addr(parser *s, dm_mailbox *box) {
    s->p++;
    if (!skip(s)) return false;
    if (at(s, '>')) return fault(s, "has nothing between its angle brackets");
    if (at(s, '@') && !route(s)) return false;
    if (!addr_spec(s, box)) return false;
    if (s->p == s->end) return fault(s, "has a \"<\" without its \">\"");
    if (!at(s, '>')) return fault(s, "has more than one address between its angle brackets");
    s->p++;
    return skip(s);
}

/* ---- display names ------------------------------------------------------*/

/* Atoms and the blanks between them, which count once each; encoded words decoded. RFC 5322 lists the
** dot in them as obsolete, and everybody writes "Example Inc. <a@x.example>": nothing else it could mean. */
static bool atoms(parser *s) {
    const char *from = s->p, *last;
    bool words = false;
    do {
        for (; is_word(s); s->p++) words = words || (*s->p == '=' && s->end - s->p > 1 && s->p[1] == '?');
        last = s->p;
        skip_blanks(s);
    } while (is_word(s));
    s->p = last;

    dm_buf plain, *to = s->out;
    if (words) {
        dm_buf_init(&plain, s->out->limit);
        to = &plain;
    }
    for (const char *p = from; p < last; p++) {
        if (!dm_is_blank(*p)) dm_buf_addc(to, *p);
        else if (!dm_is_blank(p[-1])) dm_buf_addc(to, ' ');
    }
    if (words) {
        if (plain.code != DM_OK) s->out->code = plain.code;
        else dm_word_decode(s->out, dm_buf_view(&plain));
        dm_buf_clear(&plain);
    }
    return s->out->code == DM_OK || no_room(s);
}

/* A phrase up to '<' or ':', as text, behind 'out'. */
static bool phrase(parser *s) {
    size_t start = s->out->n;
    while (s->p < s->end) {
        const char *before = s->p;
        if (!skip(s)) return false;
        bool gap = s->p > before && s->out->n > start;
        if (!is_word(s) && !at(s, '"')) break;
        if (gap && dm_buf_addc(s->out, ' ') != DM_OK) return no_room(s);
        if (at(s, '"') ? !quoted(s) : !atoms(s)) return false;
    }
    dm_view name = {s->out->p ? s->out->p + start : NULL, s->out->n - start};
    if (!dm_utf8_valid(name, NULL)) return fault(s, "has a name that is not UTF-8");
    if (!dm_one_line(name)) return fault(s, "has a name that hides a line break or NUL in an encoded word");
    return true;
}

/* ---- mailboxes and lists ------------------------------------------------*/

/* One mailbox. 'group': a group's name and ':' may stand here instead; then true with box->address.p == NULL. */
static bool mailbox(parser *s, dm_mailbox *box, bool group) {
    const char *first = s->p;
    size_t name = 0, address;
    if (is_word(s) || at(s, '"')) {     /* "a@x" or a name: what stands behind the first word tells */
        bool spec;
        if (at(s, '"')) {
            if (!quoted(s)) return false;
        } else {
            while (is_word(s)) s->p++;
        }
        if (!skip(s)) return false;
        spec = !(at(s, '<') || at(s, ':') || at(s, '"') || is_word(s));
        s->p = first;
        s->out->n = 0;
        if (!spec) {
            if (!phrase(s)) return false;
            name = s->out->n;
            if (group && at(s, ':')) return true;
            if (at(s, ':')) return fault(s, "is a group where one address is expected");
            if (at(s, '@')) return fault(s, "has words in front of its address: write it as Name <a@x.example>");
            if (!at(s, '<')) return fault(s, "has no address in angle brackets behind its name");
        }
    }
    address = s->out->n;
    if (!(at(s, '<') ? angle_addr(s, box) : addr_spec(s, box))) return false;
    box->name.n = name;         /* pointers come last: the buffer may have moved */
    box->name.p = name ? s->out->p : NULL;
    box->address.p = s->out->p + address;
    box->address.n = s->out->n - address;
    return true;
}

/* A group must end: its ';' is looked for at once, since later calls do not know that they are inside. */
static bool group_ends(const parser *s) {
    size_t comment = 0;
    bool quote = false, angle = false, bracket = false;
    for (const char *p = s->p; p < s->end; p++) {
        if (*p == '\\' && (quote || comment > 0)) p++;
        else if (quote) quote = *p != '"';
        else if (*p == '(') comment++;
        else if (comment > 0) comment -= *p == ')';
        else if (*p == '"') quote = true;
        else if (*p == '[' || *p == ']') bracket = *p == '[';
        else if (*p == '<' || *p == '>') angle = *p == '<';
        else if (*p == ';') return true;
        else if (*p == ':' && !angle && !bracket) return false;         /* groups do not nest */
    }
    return false;
}

/* What stands between two mailboxes. An element between must not be empty. */
static bool separator(parser *s, dm_mailbox *box) {
    if (s->p == s->end) return true;
    if (at(s, ';')) {           /* ends a group, or stands where Outlook writes it */
        s->p++;
        if (!skip(s) || s->p == s->end) return s->code == DM_OK;
        if (!at(s, ',')) {
            if (box) box->flags |= DM_ADDR_SEMICOLON;
            return true;
        }
    }
    if (!at(s, ',')) return fault(s, at(s, '@') ? "has a second \"@\"" : "has something behind it that belongs to no address");
    s->p++;
    if (!skip(s)) return false;
    if (s->p == s->end || at(s, ',') || at(s, ';')) return fault(s, "has a comma behind it, and no address follows");
    return true;
}

dm_code dm_addr_next(dm_view *list, dm_buf *scratch, dm_mailbox *out, dm_error *err) {
    memset(out, 0, sizeof *out);
    if (list->n == 0) return DM_END;
    parser s = {list->p, list->p + list->n, list->p, scratch, err, DM_OK};
    for (;;) {
        scratch->n = 0;
        scratch->code = DM_OK;
        if (!skip(&s)) return s.code;
        if (s.p == s.end) break;
        s.start = s.p;
        if (!mailbox(&s, out, true)) return s.code;
        if (out->address.p) {
            if (!separator(&s, out)) return s.code;
            break;
        }
        s.p++;                  /* the ':' of a group */
        if (!group_ends(&s)) {
            fault(&s, "is a group without its \";\", or with another group inside");
            return s.code;
        }
        if (!skip(&s)) return s.code;
        if (!at(&s, ';')) continue;     /* its first member */
        if (!separator(&s, NULL)) return s.code;
    }
    list->p = s.p;
    list->n = (size_t)(s.end - s.p);
    return out->address.p ? DM_OK : DM_END;
}

dm_code dm_addr_one(dm_view text, dm_buf *scratch, dm_mailbox *out, dm_error *err) {
    memset(out, 0, sizeof *out);
    scratch->n = 0;
    scratch->code = DM_OK;
    if (text.n == 0) return dm_fail(err, DM_E_ADDRESS, "", "an address is missing");
    parser s = {text.p, text.p + text.n, text.p, scratch, err, DM_OK};
    if (!skip(&s)) return s.code;
    if (s.p == s.end) return dm_fail(err, DM_E_ADDRESS, "", "an address is missing");
    s.start = s.p;
    if (!mailbox(&s, out, false)) return s.code;
    if (s.p < s.end)
        fault(&s, at(&s, ',') || at(&s, ';') ? "is followed by another address where one is expected"
                  : at(&s, '@') ? "has a second \"@\"" : "has something behind it that belongs to no address");
    return s.code;
}
