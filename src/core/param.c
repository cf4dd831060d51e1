/* param.c - parameters of Content-Type and Content-Disposition, RFC 2045 and RFC 2231. */
#include "word.h"

#include <string.h>

enum { LINE = 76 };

typedef enum form {
    TOKEN,                      /* name=value */
    QUOTED,                     /* name="value" */
    EXTENDED                    /* name*=UTF-8''value, RFC 2231, 4 */
} form;

static bool is_special(unsigned char c) { return c != 0 && strchr("()<>@,;:\\\"/[]?=", c) != NULL; }    /* RFC 2045, 5.1 */

/* RFC 2231, 7: attribute-char */
static bool is_attribute(unsigned char c) {
    return c > 32 && c < 127 && !is_special(c) && c != '*' && c != '\'' && c != '%';
}

/* Quotes wherever RFC 2231's own alphabet does not do: Python's email, for one, takes "it's.txt" without them for
** a character set and its text. And readers decode what looks like an encoded word, in quotes too: so it must not. */
static form form_of(dm_view value) {
    form as = value.n > 0 ? TOKEN : QUOTED;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c >= 0x80 || dm_is_control(c)) return EXTENDED;
        if (c == '=' && i + 1 < value.n && value.p[i + 1] == '?') return EXTENDED;
        if (!is_attribute(c)) as = QUOTED;
    }
    return as;
}

/* Columns of one character of 'n' octets. */
static size_t width_of(const char *p, size_t n, form as) {
    if (as == QUOTED) return *p == '"' || *p == '\\' ? 2 : n;
    if (as == EXTENDED && !(n == 1 && is_attribute((unsigned char)*p))) return 3 * n;
    return n;
}

static void add_character(dm_buf *out, const char *p, size_t n, form as) {
    if (as == QUOTED && (*p == '"' || *p == '\\')) dm_buf_addc(out, '\\');
    if (as != EXTENDED || (n == 1 && is_attribute((unsigned char)*p))) {
        dm_buf_add(out, p, n);
        return;
    }
    for (size_t i = 0; i < n; i++) dm_buf_addf(out, "%%%02X", (unsigned)(unsigned char)p[i]);
}

static size_t step_at(dm_view value, size_t i) {
    dm_view rest = {value.p + i, value.n - i};
    return dm_utf8_step(rest);
}

/* The value in one piece: columns, without the ';' behind it. */
static size_t whole_width(const char *name, dm_view value, form as) {
    size_t width = strlen(name) + 1 + (as == QUOTED ? 2u : as == EXTENDED ? strlen("*UTF-8''") : 0);
    for (size_t i = 0, n; i < value.n; i += n) {
        n = step_at(value, i);
        width += width_of(value.p + i, n, as);
    }
    return width;
}

static void add_piece(dm_buf *out, dm_view value, form as) {
    if (as == QUOTED) dm_buf_addc(out, '"');
    for (size_t i = 0, n; i < value.n; i += n) {
        n = step_at(value, i);
        add_character(out, value.p + i, n, as);
    }
    if (as == QUOTED) dm_buf_addc(out, '"');
}

/* Numbered pieces, one a line (RFC 2231, 3 and 4.1): a character is never cut, and the
** character set stands in the first one only. */
static void add_continuations(dm_buf *out, const char *name, dm_view value, form as, size_t *column) {
    if (as == TOKEN) as = QUOTED;
    size_t from = 0;
    for (unsigned part = 0; from < value.n; part++) {
        if (part > 0) dm_buf_addc(out, ';');
        dm_buf_adds(out, "\r\n ");
        size_t line = out->n;
        dm_buf_addf(out, as == EXTENDED ? "%s*%u*=%s" : "%s*%u=", name, part, part == 0 ? "UTF-8''" : "");
        size_t width = 1 + (out->n - line) + (as == QUOTED ? 2u : 0u), end = from;
        while (end < value.n) {
            size_t n = step_at(value, end), more = width_of(value.p + end, n, as);
            if (end > from && width + more + 1 > LINE) break;   /* 1: the ';' */
            width += more;
            end += n;
        }
        dm_view piece = {value.p + from, end - from};
        add_piece(out, piece, as);
        *column = width;
        from = end;
    }
}

dm_code dm_param(dm_buf *out, const char *name, dm_view value, size_t *column) {
    dm_code code = dm_word_check(value);
    if (code != DM_OK) return code;
    form as = form_of(value);
    size_t width = whole_width(name, value, as);
    dm_buf_addc(out, ';');
    if (1 + width + 1 > LINE) {                 /* not even on a line of its own */
        add_continuations(out, name, value, as, column);
        return out->code;
    }
    if (*column + 2 + width + 1 > LINE) {
        dm_word_fold(out, column);
    } else {
        dm_buf_addc(out, ' ');
        *column += 2;
    }
    dm_buf_adds(out, name);
    dm_buf_adds(out, as == EXTENDED ? "*=UTF-8''" : "=");
    add_piece(out, value, as);
    *column += width;
    return out->code;
}

dm_code dm_param_word(dm_buf *out, const char *name, dm_view value, size_t *column) {
    dm_code code = dm_word_check(value);
    if (code != DM_OK) return code;
    if (form_of(value) != EXTENDED) return dm_param(out, name, value, column);
    /* RFC 2047, 5 forbids words in quotes, and yet QQ, Foxmail and old Outlooks read the
    ** name of an attachment from here only. */
    dm_buf_addc(out, ';');
    dm_word_fold(out, column);
    dm_buf_adds(out, name);
    dm_buf_adds(out, "=\"");
    *column += strlen(name) + 2;
    dm_word_encode(out, value, column, true, LINE - 2);         /* 2: the quote and a ';' behind it */
    dm_buf_addc(out, '"');
    *column += 1;
    return out->code;
}

dm_view dm_param_basename(dm_view path) {
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/' || path.p[i - 1] == '\\') {
            dm_view name = {path.p + i, path.n - i};
            return name;
        }
    return path;
}
