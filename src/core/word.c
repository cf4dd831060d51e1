/* word.c - header text and display names, RFC 2047 and the folding of RFC 5322. */
#include "word.h"

#include <string.h>

enum {
    LINE = 76,                  /* RFC 2047, 2: a line with an encoded word */
    LINE_MAX = 998,             /* RFC 5322, 2.1.1 */
    WORD = 75,
    FRAME = 12                  /* =?UTF-8?Q? and ?= */
};

/* ---- characters ---------------------------------------------------------*/

typedef struct range {
    uint32_t first, last;
} range;

/* What joins the character before it on the screen. Not all of UAX 29, but what
** a cut would show: accents, voicing marks, variation selectors, skin tones, tags. */
static const range joining[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f}, {0x093a, 0x094d},
    {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
    {0x200c, 0x200d}, {0x20d0, 0x20ff}, {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    {0x1f3fb, 0x1f3ff}, {0xe0020, 0xe007f}, {0xe0100, 0xe01ef},
};

/* What Q keeps readable: Latin letters with their accents, and common punctuation. */
static const range latin[] = {
    {0x0000, 0x024f}, {0x0300, 0x036f}, {0x1e00, 0x1eff}, {0x2000, 0x206f}, {0x20a0, 0x20cf}, {0x2100, 0x214f},
};

static bool within(uint32_t c, const range *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (c >= list[i].first && c <= list[i].last) return true;
    return false;
}
#define WITHIN(c, list) within(c, list, sizeof list / sizeof *list)

/* The first character of a valid text, its octets in *n. */
static uint32_t character(dm_view text, size_t *n) {
    static const unsigned char lead[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *n = dm_utf8_step(text);
    uint32_t c = (unsigned char)text.p[0] & (uint32_t)lead[*n];
    for (size_t i = 1; i < *n; i++) c = c << 6 | ((unsigned char)text.p[i] & 0x3fu);
    return c;
}

static bool is_flag(uint32_t c) { return c >= 0x1f1e6 && c <= 0x1f1ff; }

static dm_view behind(dm_view text, size_t n) {
    dm_view rest = {text.p + n, text.n - n};
    return rest;
}

/* Octets of what is seen as one character: a letter with its accents, a flag, a family.
** It may be cut when it is too long for any word. */
static size_t cluster(dm_view text) {
    size_t n, step;
    uint32_t before = character(text, &n);
    bool flag = is_flag(before);
    while (n < text.n && n <= WORD) {
        uint32_t c = character(behind(text, n), &step);
        bool pair = flag && is_flag(c);         /* two regional indicators make one flag */
        if (!pair && before != 0x200d && !WITHIN(c, joining)) break;
        flag = false;
        before = c;
        n += step;
    }
    return n;
}

/* ---- encoded words ------------------------------------------------------*/

/* RFC 2047, 4.2 and, for phrases, 5(3). The blank, written as '_', is one octet too. */
static bool q_plain(unsigned char c, bool phrase) {
    if (dm_is_alpha(c) || dm_is_digit(c) || c == ' ') return true;
    if (phrase) return c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
    return c > 32 && c < 127 && c != '=' && c != '?' && c != '_';
}

static size_t q_width(dm_view text, bool phrase) {
    size_t width = 0;
    for (size_t i = 0; i < text.n; i++) width += q_plain((unsigned char)text.p[i], phrase) ? 1 : 3;
    return width;
}

/* Q while all is Latin, or when it is not the longer one; else B. */
static bool prefers_q(dm_view text, bool phrase) {
    if (q_width(text, phrase) <= dm_base64_length(text.n)) return true;
    for (size_t step; text.n > 0; text = behind(text, step))
        if (!WITHIN(character(text, &step), latin)) return false;
    return true;
}

static void q_add(dm_buf *out, dm_view text, bool phrase) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == ' ') {
            dm_buf_addc(out, '_');
        } else if (q_plain(c, phrase)) {
            dm_buf_addc(out, (char)c);
        } else {
            char escaped[3] = {'=', hex[c >> 4], hex[c & 15]};
            dm_buf_add(out, escaped, sizeof escaped);
        }
    }
}

/* Octets of whole clusters at the front of 'text' that fit into a word of 'room'
** characters between its frame; of whole characters where a cluster would not fit
** into any word of 'full' characters. */
static size_t fit(dm_view text, size_t room, size_t full, bool q, bool phrase) {
    size_t n = 0, width = 0;
    while (n < text.n) {
        dm_view rest = behind(text, n), part = {rest.p, cluster(rest)};
        if ((q ? q_width(part, phrase) : dm_base64_length(part.n)) > full) part.n = dm_utf8_step(rest);
        width = q ? width + q_width(part, phrase) : dm_base64_length(n + part.n);
        if (width > room) break;
        n += part.n;
    }
    return n;
}

void dm_word_fold(dm_buf *out, size_t *column) {
    if (out->n > 0 && out->p[out->n - 1] == ' ') out->n--;      /* no blank at a line's end */
    dm_buf_adds(out, "\r\n ");
    *column = 1;
}

dm_code dm_word_check(dm_view text) {
    if (!dm_one_line(text)) return DM_E_HEADER;
    return dm_utf8_valid(text, NULL) ? DM_OK : DM_E_CONTENT;
}

dm_code dm_word_encode(dm_buf *out, dm_view text, size_t *column, bool phrase, size_t line) {
    bool q = prefers_q(text, phrase);
    size_t full = line - 1 < WORD ? line - 1 - FRAME : WORD - FRAME;
    while (text.n > 0) {
        size_t room = *column + FRAME < line ? line - *column - FRAME : 0;
        if (room > full) room = full;
        size_t n = fit(text, room, full, q, phrase);
        if (n == 0) {           /* at column 1 a character always fits */
            dm_word_fold(out, column);
            continue;
        }
        dm_view part = {text.p, n};
        size_t before = out->n;
        dm_buf_adds(out, q ? "=?UTF-8?Q?" : "=?UTF-8?B?");
        if (q) q_add(out, part, phrase);
        else dm_base64(out, part);
        dm_buf_adds(out, "?=");
        if (out->code != DM_OK) break;
        *column += out->n - before;
        text = behind(text, n);
        if (text.n > 0) dm_word_fold(out, column);      /* RFC 2047, 6.2: this blank is not part of the text */
    }
    return out->code;
}

/* ---- text as it is ------------------------------------------------------*/

typedef enum form { TEXT, ATOMS, QUOTED } form;

static bool is_escaped(unsigned char c, form as) { return as == QUOTED && (c == '"' || c == '\\'); }

/* The token at 'from' with the blanks in front of it: where it begins and ends, and the
** columns that it takes with its quotes. */
typedef struct token {
    size_t gap, end, width;
} token;

static token next_token(dm_view text, size_t from, form as) {
    token t = {from, 0, 0};
    while (t.gap < text.n && dm_is_blank(text.p[t.gap])) t.gap++;
    for (t.end = t.gap; t.end < text.n && !dm_is_blank(text.p[t.end]); t.end++)
        t.width += is_escaped((unsigned char)text.p[t.end], as) ? 2 : 1;
    if (as == QUOTED) t.width += (from == 0 ? 1u : 0u) + (t.end == text.n ? 1u : 0u);
    return t;
}

/* ASCII without trailing or leading blanks, folded at blanks. What unfolding gives is the same text. */
static dm_code write_plain(dm_buf *out, dm_view text, size_t *column, form as) {
    size_t whole = 0;
    for (size_t from = 0; from < text.n;) {     /* nothing is written when it cannot all be */
        token t = next_token(text, from, as);
        size_t gap = from == 0 ? 1 : t.gap - from;
        if (gap + t.width > LINE_MAX) return DM_E_HEADER;
        whole += t.end - from + (t.width - (t.end - t.gap));
        from = t.end;
    }
    size_t first = next_token(text, 0, as).width;
    bool over = as == TEXT ? *column + first > LINE && first < LINE
                           : *column + whole > LINE && whole < LINE;    /* a name stays together if it can */
    if (*column > 1 && (over || *column + first > LINE_MAX)) dm_word_fold(out, column);

    for (size_t from = 0; from < text.n;) {
        token t = next_token(text, from, as);
        if (from == 0 && as == QUOTED) dm_buf_addc(out, '"');
        if (from > 0 && *column + (t.gap - from) + t.width > LINE) {
            dm_buf_adds(out, "\r\n");
            *column = 0;
        }
        if (t.width > t.end - t.gap && as == QUOTED) {
            dm_buf_add(out, text.p + from, t.gap - from);
            for (size_t i = t.gap; i < t.end; i++) {
                if (is_escaped((unsigned char)text.p[i], as)) dm_buf_addc(out, '\\');
                dm_buf_addc(out, text.p[i]);
            }
        } else {
            dm_buf_add(out, text.p + from, t.end - from);
        }
        if (t.end == text.n && as == QUOTED) dm_buf_addc(out, '"');
        *column += t.gap - from + t.width;
        from = t.end;
    }
    return out->code;
}

static dm_view trimmed(dm_view text) {
    while (text.n > 0 && dm_is_blank(text.p[text.n - 1])) text.n--;
    return text;
}

static bool has_word_start(dm_view text) {
    for (size_t i = 0; i + 1 < text.n; i++)
        if (text.p[i] == '=' && text.p[i + 1] == '?') return true;
    return false;
}

/* Only encoded words carry this: other scripts, control characters, leading blanks
** (a reader drops them), ASCII that a reader would take for an encoded word. */
static bool needs_words(dm_view text) {
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= 0x80 || (dm_is_control(c) && c != '\t')) return true;
    }
    return dm_is_blank(text.p[0]) || has_word_start(text);
}

dm_code dm_word_text(dm_buf *out, dm_view text, size_t *column) {
    dm_code code = dm_word_check(text);
    if (code != DM_OK) return code;
    text = trimmed(text);
    if (text.n == 0) return out->code;
    if (needs_words(text)) return dm_word_encode(out, text, column, false, LINE);
    if (*column + text.n <= LINE) {             /* most subjects */
        *column += text.n;
        return dm_buf_addv(out, text);
    }
    return write_plain(out, text, column, TEXT);
}

/* RFC 5322, 3.2.3, and single blanks between atoms */
static bool is_atoms(dm_view text) {
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == ' ' && text.p[i - 1] != ' ') continue;         /* no leading blank comes here */
        if (!dm_is_alpha(c) && !dm_is_digit(c) && !strchr("!#$%&'*+-/=?^_`{|}~", c)) return false;
    }
    return true;
}

dm_code dm_word_phrase(dm_buf *out, dm_view name, size_t *column) {
    dm_code code = dm_word_check(name);
    if (code != DM_OK) return code;
    name = trimmed(name);
    if (name.n == 0) return out->code;
    if (needs_words(name) || memchr(name.p, '\t', name.n)) return dm_word_encode(out, name, column, true, LINE);
    return write_plain(out, name, column, is_atoms(name) ? ATOMS : QUOTED);
}

/* ---- reading ------------------------------------------------------------*/

typedef enum charset { OTHER, UTF8, ASCII, LATIN1 } charset;

static charset charset_of(dm_view name) {
    for (size_t i = 0; i < name.n; i++)         /* RFC 2231, 5: "utf-8*en" */
        if (name.p[i] == '*') name.n = i;
    if (dm_view_same(name, "utf-8") || dm_view_same(name, "utf8")) return UTF8;
    if (dm_view_same(name, "us-ascii") || dm_view_same(name, "ascii")) return ASCII;
    if (dm_view_same(name, "iso-8859-1") || dm_view_same(name, "latin1")) return LATIN1;
    return OTHER;
}

typedef struct word {
    charset charset;
    int encoding;               /* 'q' or 'b' */
    dm_view text;
    size_t n;                   /* octets of the whole word */
} word;

/* The encoded word at the front of 'in', if one is there that we can read. */
static bool next_word(dm_view in, word *w) {
    if (in.n < 2 || in.p[0] != '=' || in.p[1] != '?') return false;
    size_t mark[2], i = 2;
    for (int k = 0; k < 2; k++, i++) {
        while (i < in.n && in.p[i] != '?' && (unsigned char)in.p[i] > 32) i++;
        if (i == in.n || in.p[i] != '?') return false;
        mark[k] = i;
    }
    dm_view name = {in.p + 2, mark[0] - 2};
    w->charset = charset_of(name);
    w->encoding = dm_lower((unsigned char)in.p[mark[0] + 1]);
    if (w->charset == OTHER || mark[1] - mark[0] != 2 || (w->encoding != 'q' && w->encoding != 'b')) return false;
    for (w->text.p = in.p + i; i < in.n && in.p[i] != '?' && in.p[i] != '\r' && in.p[i] != '\n'; i++) continue;
    if (i + 1 >= in.n || in.p[i] != '?' || in.p[i + 1] != '=') return false;
    w->text.n = i - mark[1] - 1;
    w->n = i + 2;
    return true;
}

static int hex_of(char c) {
    if (dm_is_digit(c)) return c - '0';
    int low = dm_lower((unsigned char)c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static dm_code q_decode(dm_buf *out, dm_view in) {
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '_') {
            c = ' ';
        } else if (c == '=') {
            int high = i + 2 < in.n ? hex_of(in.p[i + 1]) : -1, low = i + 2 < in.n ? hex_of(in.p[i + 2]) : -1;
            if (high < 0 || low < 0) return DM_E_CONTENT;
            c = (char)(high << 4 | low);
            i += 2;
        }
        dm_buf_addc(out, c);
    }
    return out->code;
}

/* The octets of 'w' behind 'out'; false and nothing appended when they cannot be had. */
static bool add_decoded(dm_buf *out, const word *w) {
    size_t start = out->n;
    dm_code code = w->encoding == 'q' ? q_decode(out, w->text) : dm_base64_decode(out, w->text);
    if (code == DM_OK && w->charset == ASCII)
        for (size_t i = start; i < out->n; i++)
            if ((unsigned char)out->p[i] >= 0x80) code = DM_E_CONTENT;
    if (code == DM_OK && w->charset == LATIN1) {
        size_t high = 0;
        for (size_t i = start; i < out->n; i++) high += (unsigned char)out->p[i] >= 0x80;
        if (high > 0 && !dm_buf_room(out, high)) return false;
        for (size_t from = out->n, to = out->n + high; to > from; from--) {     /* from the end, in place */
            unsigned char c = (unsigned char)out->p[from - 1];
            if (c >= 0x80) {
                out->p[--to] = (char)(0x80 | (c & 0x3f));
                out->p[--to] = (char)(0xc0 | c >> 6);
            } else {
                out->p[--to] = (char)c;
            }
        }
        out->n += high;
    }
    if (code != DM_OK) out->n = start;
    return code == DM_OK;
}

static size_t white_space(dm_view in) {
    size_t n = 0;
    while (n < in.n && (dm_is_blank(in.p[n]) || in.p[n] == '\r' || in.p[n] == '\n')) n++;
    return n;
}

/* Encoded words one after another, the white space between them dropped. They are joined before
** they are judged, since writers do cut inside a character; when the whole is not UTF-8, each
** word is judged alone. Returns the octets used, 0 when no word stands here. */
static size_t decode_run(dm_buf *out, dm_view in) {
    word w;
    size_t start = out->n, used = 0, gap = 0;
    while (next_word(behind(in, used + gap), &w) && add_decoded(out, &w)) {
        used += gap + w.n;
        gap = white_space(behind(in, used));
    }
    dm_view got = {out->p, out->n};
    if (used == 0 || out->n == start || dm_utf8_valid(behind(got, start), NULL)) return used;

    out->n = start;
    bool kept = true;           /* the word before stays as it is, so the white space behind it does */
    for (size_t i = 0, from = 0; i < used;) {
        bool word_here = next_word(behind(in, i), &w);
        if (!word_here) {       /* white space */
            i++;
            continue;
        }
        size_t begin = out->n;
        add_decoded(out, &w);
        got = dm_buf_view(out);
        bool good = out->n == begin || dm_utf8_valid(behind(got, begin), NULL);
        if (!good || kept) {
            dm_view space = {in.p + from, i - from};
            out->n = begin;
            dm_buf_addv(out, space);
            if (good) add_decoded(out, &w);
            else dm_buf_add(out, in.p + i, w.n);
        }
        kept = !good;
        i = from = i + w.n;
    }
    return used;
}

dm_code dm_word_decode(dm_buf *out, dm_view in) {
    size_t i = 0;
    while (i < in.n && out->code == DM_OK) {
        size_t used = in.p[i] == '=' ? decode_run(out, behind(in, i)) : 0;
        if (used > 0) {
            i += used;
            continue;
        }
        size_t from = i;
        if (in.p[i] == '\r' || in.p[i] == '\n') {       /* a fold is not part of the text, RFC 5322, 2.2.3 */
            size_t end = in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n' ? i + 2 : i + 1;
            if (end < in.n && dm_is_blank(in.p[end])) {
                i = end;
                continue;
            }
        }
        for (i++; i < in.n && in.p[i] != '=' && in.p[i] != '\r' && in.p[i] != '\n'; i++) continue;
        dm_buf_add(out, in.p + from, i - from);
    }
    return out->code;
}
