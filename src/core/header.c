/* header.c - header fields of a message: their names, their kinds, their folding. */
#include "header.h"

#include <string.h>

#include "word.h"

enum {
    PATH = 254,                 /* RFC 5321 section 4.5.3.1.3: 256 with its brackets */
    LABEL = sizeof ((dm_error *)NULL)->field,
    LIST = 76                   /* RFC 2047 section 2: a line with an encoded word, and any of a list may hold one */
};

/* Fields with a rule of their own. ONCE is RFC 5322 section 3.6: readers and filters differ in which of two they
** believe. OURS are written from the message's structure. A NEVER would show the hidden recipients to everyone. */
enum rule { ONCE, OURS, NEVER };
static const struct {
    const char *name;
    size_t n;
    enum rule rule;
} special[] = {
#define X(name, rule) {name, sizeof name - 1, rule}
    X("Date", ONCE), X("From", ONCE), X("Sender", ONCE), X("Reply-To", ONCE), X("To", ONCE), X("Cc", ONCE),
    X("Message-ID", ONCE), X("In-Reply-To", ONCE), X("References", ONCE), X("Subject", ONCE),
    X("MIME-Version", OURS), X("Content-Type", OURS), X("Content-Transfer-Encoding", OURS),
    X("Content-Disposition", OURS), X("Content-ID", OURS),
    X("Bcc", NEVER), X("Resent-Bcc", NEVER),
#undef X
};
enum { SPECIALS = sizeof special / sizeof *special };

char *dm_header_quote(char *out, size_t size, dm_view text) {
    size_t n = 0;
    while (text.n > 0) {
        size_t step = dm_utf8_step(text);
        bool show = step > 0 && !dm_is_control((unsigned char)*text.p);
        if (step == 0) step = 1;
        if (n + (show ? step : 1) >= size) break;
        if (show) memcpy(out + n, text.p, step);
        else out[n] = '?';
        n += show ? step : 1;
        text.p += step;
        text.n -= step;
    }
    out[n] = '\0';
    return out;
}

bool dm_header_path(dm_view a) {
    if (a.n == 0 || a.n > PATH) return false;
    bool quoted = a.p[0] == '"';
    for (size_t i = quoted; i < a.n; i++) {
        unsigned char c = (unsigned char)a.p[i];
        if (c < 32 || c > 126) return false;
        if (quoted) {
            if (c == '\\' && ++i == a.n) return false;
            if (c == '\\' && ((unsigned char)a.p[i] < 32 || (unsigned char)a.p[i] > 126)) return false;
            if (c == '"') quoted = false;
        } else if (c == ' ' || c == '<' || c == '>') {
            return false;
        }
    }
    return !quoted;
}

bool dm_header_fits(const dm_buf *out, size_t from) {
    const char *p = out->p + from, *end = out->p + out->n;
    while ((size_t)(end - p) > DM_LINE) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((lf ? lf : end) - p);
        if (n > DM_LINE + (lf ? 1 : 0)) return false;       /* the CR counts in n */
        if (!lf) break;
        p = lf + 1;
    }
    return true;
}

size_t dm_header_token(dm_view v) {
    size_t i = 0;
    while (i < v.n && v.p[i] > 32 && v.p[i] < 127 && !strchr("()<>@,;:\\\"/[]?=", v.p[i])) i++;
    return i;
}

static dm_view trim(dm_view v) {
    while (v.n > 0 && dm_is_blank(v.p[0])) v.p++, v.n--;
    while (v.n > 0 && dm_is_blank(v.p[v.n - 1])) v.n--;
    return v;
}

static bool printable(dm_view v) {
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 32 || (unsigned char)v.p[i] > 126) return false;
    return true;
}

static void write_tokens(dm_buf *out, dm_view v, size_t column) {
    for (bool first = true; v.n > 0; first = false) {
        size_t n = 0;
        while (n < v.n && v.p[n] != ' ') n++;
        if (first) {            /* stays behind the name while it can: some servers lose an id on the second line */
            if (column + n > DM_LINE) dm_word_fold(out, &column);
        } else if (column + 1 + n > DM_FOLD) {
            dm_word_fold(out, &column);
        } else {
            dm_buf_addc(out, ' ');
            column++;
        }
        dm_buf_add(out, v.p, n);
        column += n;
        v.p += n;
        v.n -= n;
        v = trim(v);
    }
}

/* One mailbox, beginning at *column. 'comma': octets that will stand behind it. */
static dm_code write_mailbox(dm_buf *out, const dm_mailbox *box, size_t comma, size_t *column) {
    dm_view name = trim(box->name);
    if (name.n == 0) {
        *column += box->address.n;
        return dm_buf_addv(out, box->address);
    }
    dm_code code = dm_word_phrase(out, name, column);
    if (code != DM_OK) return code;
    if (*column + 3 + box->address.n + comma > LIST) {
        dm_word_fold(out, column);
    } else {
        dm_buf_addc(out, ' ');
        (*column)++;
    }
    dm_buf_addc(out, '<');
    dm_buf_addv(out, box->address);
    *column += box->address.n + 2;
    return dm_buf_addc(out, '>');
}

static dm_code write_mailboxes(dm_buf *out, const dm_field *f, size_t column) {
    for (size_t i = 0; i < f->count; i++) {
        if (i > 0) {
            dm_buf_adds(out, ", ");
            column += 2;
        }
        size_t start = out->n, begin = column, comma = i + 1 < f->count ? 1 : 0;
        dm_code code = write_mailbox(out, &f->mailboxes[i], comma, &column);
        if (code != DM_OK) return code;
        bool whole = column == begin + (out->n - start);    /* it was not folded inside */
        if (i > 0 && (!whole || column + comma > LIST)) {
            if (out->code == DM_OK) out->n = start - 1;     /* from the blank behind the comma on */
            dm_word_fold(out, &column);
            code = write_mailbox(out, &f->mailboxes[i], comma, &column);
            if (code != DM_OK) return code;
        }
    }
    return out->code;
}

/* The field's name as an error shows it. */
static const char *label_of(const dm_field *f, char label[LABEL]) { return dm_header_quote(label, LABEL, f->name); }

/* The gate of every value: what could begin a new field, or become something else on its way. Fills err. */
static dm_code check_value(const dm_field *f, dm_error *err) {
    char label[LABEL];
    if (f->kind == DM_FIELD_MAILBOXES) {
        for (size_t i = 0; i < f->count; i++) {
            const dm_mailbox *box = &f->mailboxes[i];
            size_t where;
            if (!dm_one_line(box->name) || !dm_one_line(box->address))
                return dm_fail(err, DM_E_HEADER, label_of(f, label), "mailbox %zu holds a line break or NUL: take it out", i + 1);
            if (!dm_utf8_valid(box->name, &where))
                return dm_fail(err, DM_E_HEADER, label_of(f, label),
                               "the name of mailbox %zu is not UTF-8 from octet %zu on: convert it", i + 1, where + 1);
            if (!dm_header_path(box->address))
                return dm_fail(err, DM_E_HEADER, label_of(f, label), "mailbox %zu has no address that can be written: check it with "
                               "the address parser first", i + 1);
        }
        return DM_OK;
    }
    if (!dm_one_line(f->value))
        return dm_fail(err, DM_E_HEADER, label_of(f, label), "the value holds a line break or NUL: take it out");
    if (f->kind == DM_FIELD_TEXT) {
        size_t where;
        if (!dm_utf8_valid(f->value, &where))
            return dm_fail(err, DM_E_HEADER, label_of(f, label), "the value is not UTF-8 from octet %zu on: convert it", where + 1);
    } else if (!printable(trim(f->value))) {
        return dm_fail(err, DM_E_HEADER, label_of(f, label), "the value may hold printable ASCII only");
    }
    return DM_OK;
}

static dm_code write_field(dm_buf *out, const dm_field *f, dm_error *err) {
    if (f->kind == DM_FIELD_MAILBOXES && f->count == 0) return DM_OK;
    char label[LABEL];
    dm_code code = check_value(f, err);
    if (code != DM_OK) return code;

    size_t from = out->n, column = f->name.n + 2;
    dm_view value = f->kind == DM_FIELD_MAILBOXES ? (dm_view){NULL, 0} : trim(f->value);
    dm_buf_addv(out, f->name);
    dm_buf_addc(out, ':');
    if (value.n > 0 || f->kind == DM_FIELD_MAILBOXES) dm_buf_addc(out, ' ');
    switch (f->kind) {
    case DM_FIELD_TEXT: code = dm_word_text(out, value, &column); break;
    case DM_FIELD_TOKENS: write_tokens(out, value, column); break;
    case DM_FIELD_EXACT: dm_buf_addv(out, value); break;
    case DM_FIELD_MAILBOXES: code = write_mailboxes(out, f, column); break;
    }
    dm_buf_adds(out, "\r\n");
    if (out->code != DM_OK) return out->code;
    if (code != DM_OK) return dm_fail(err, DM_E_HEADER, label_of(f, label), "the value cannot be encoded");
    if (!dm_header_fits(out, from))
        return dm_fail(err, DM_E_HEADER, label_of(f, label), "a line would have more than %d octets and has no blank to fold at: "
                       "shorten the value", DM_LINE);
    return DM_OK;
}

/* Names: RFC 5322 section 2.2; and no dot in front, so that no header line ever needs dot-stuffing. */
static dm_code check_name(const dm_field *f, size_t index, unsigned *seen, dm_error *err) {
    bool ok = f->name.n > 0 && f->name.p[0] != '.' && memchr(f->name.p, ':', f->name.n) == NULL;
    for (size_t i = 0; ok && i < f->name.n; i++) ok = f->name.p[i] > 32 && f->name.p[i] < 127;
    char label[LABEL];
    if (!ok)
        return dm_fail(err, DM_E_HEADER, label_of(f, label), "the name of header field %zu may hold printable ASCII without blank "
                       "and colon only, and no dot in front", index + 1);
    for (size_t i = 0; i < SPECIALS; i++) {
        if (f->name.n != special[i].n || !dm_view_same(f->name, special[i].name)) continue;
        if (special[i].rule == OURS)
            return dm_fail(err, DM_E_HEADER, label_of(f, label), "this field is written from the parts: leave it out");
        if (special[i].rule == NEVER)
            return dm_fail(err, DM_E_HEADER, label_of(f, label), "hidden recipients are never written: they belong in the envelope");
        if (*seen & 1u << i)
            return dm_fail(err, DM_E_HEADER, label_of(f, label), "this field may stand once only (RFC 5322, 3.6)");
        *seen |= 1u << i;
    }
    return DM_OK;
}

dm_code dm_header_write(dm_buf *out, const dm_field *fields, size_t count, dm_error *err) {
    unsigned seen = 0;          /* a bit for each of 'special' */
    bool several = false, sender = false;
    for (size_t i = 0; i < count; i++) {
        const dm_field *f = &fields[i];
        dm_code code = check_name(f, i, &seen, err);
        if (code == DM_OK) code = write_field(out, f, err);
        if (code != DM_OK) return code;
        if (f->kind == DM_FIELD_MAILBOXES && f->count > 1 && dm_view_same(f->name, "From")) several = true;
        if (dm_view_same(f->name, "Sender")) sender = true;
    }
    if (several && !sender)
        return dm_fail(err, DM_E_HEADER, "Sender", "is needed when From names several mailboxes (RFC 5322, 3.6.2)");
    return DM_OK;
}
