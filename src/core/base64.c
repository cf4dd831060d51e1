/* base64.c - base64, RFC 4648 section 4, on one line or in lines of 76. */
#include "base64.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX2 1
#endif

enum {
    LINE = 76,                  /* RFC 2045, 6.8 */
    LINE_OCTETS = LINE / 4 * 3,
    VECTOR = 24                 /* octets that one AVX2 register of characters holds */
};

/* Two characters for each value of 12 bits: half the look-ups of a table of 64,
** and 8 KB stay in the first cache. */
#define ROW(c) \
    c, 'A', c, 'B', c, 'C', c, 'D', c, 'E', c, 'F', c, 'G', c, 'H', \
    c, 'I', c, 'J', c, 'K', c, 'L', c, 'M', c, 'N', c, 'O', c, 'P', \
    c, 'Q', c, 'R', c, 'S', c, 'T', c, 'U', c, 'V', c, 'W', c, 'X', \
    c, 'Y', c, 'Z', c, 'a', c, 'b', c, 'c', c, 'd', c, 'e', c, 'f', \
    c, 'g', c, 'h', c, 'i', c, 'j', c, 'k', c, 'l', c, 'm', c, 'n', \
    c, 'o', c, 'p', c, 'q', c, 'r', c, 's', c, 't', c, 'u', c, 'v', \
    c, 'w', c, 'x', c, 'y', c, 'z', c, '0', c, '1', c, '2', c, '3', \
    c, '4', c, '5', c, '6', c, '7', c, '8', c, '9', c, '+', c, '/'

static const char pairs[64 * 64 * 2] = {
    ROW('A'), ROW('B'), ROW('C'), ROW('D'), ROW('E'), ROW('F'), ROW('G'), ROW('H'),
    ROW('I'), ROW('J'), ROW('K'), ROW('L'), ROW('M'), ROW('N'), ROW('O'), ROW('P'),
    ROW('Q'), ROW('R'), ROW('S'), ROW('T'), ROW('U'), ROW('V'), ROW('W'), ROW('X'),
    ROW('Y'), ROW('Z'), ROW('a'), ROW('b'), ROW('c'), ROW('d'), ROW('e'), ROW('f'),
    ROW('g'), ROW('h'), ROW('i'), ROW('j'), ROW('k'), ROW('l'), ROW('m'), ROW('n'),
    ROW('o'), ROW('p'), ROW('q'), ROW('r'), ROW('s'), ROW('t'), ROW('u'), ROW('v'),
    ROW('w'), ROW('x'), ROW('y'), ROW('z'), ROW('0'), ROW('1'), ROW('2'), ROW('3'),
    ROW('4'), ROW('5'), ROW('6'), ROW('7'), ROW('8'), ROW('9'), ROW('+'), ROW('/')
};
#undef ROW

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- kernels: whole groups only -------------------------------------------*/

/* 'groups' times three octets become four characters. */
static void encode(char *to, const unsigned char *p, size_t groups) {
    for (; groups >= 3; groups -= 2, p += 6, to += 8) {         /* two groups from eight octets: six are used */
        uint64_t bits = (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
                        (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 8 | p[7];
        memcpy(to, pairs + 2 * (bits >> 52), 2);
        memcpy(to + 2, pairs + 2 * (bits >> 40 & 0xfff), 2);
        memcpy(to + 4, pairs + 2 * (bits >> 28 & 0xfff), 2);
        memcpy(to + 6, pairs + 2 * (bits >> 16 & 0xfff), 2);
    }
    for (; groups > 0; groups--, p += 3, to += 4) {
        unsigned bits = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        memcpy(to, pairs + 2 * (bits >> 12), 2);
        memcpy(to + 2, pairs + 2 * (bits & 0xfff), 2);
    }
}

/* 'lines' whole lines, CRLF between them and none behind the last. Returns where they end. */
static char *encode_lines(char *to, const unsigned char *p, size_t lines) {
    for (;; p += LINE_OCTETS, to += LINE + 2) {
        encode(to, p, LINE_OCTETS / 3);
        if (--lines == 0) return to + LINE;
        memcpy(to + LINE, "\r\n", 2);
    }
}

#ifdef HAVE_AVX2
#define AVX2 __attribute__((target("avx2")))

/* 24 octets at 'p' become 32 characters: W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2
** Instructions", ACM TWEB 12 (2018). Both loads stay within the 24, so there is nothing to read too far. */
AVX2 static inline void encode_vector(char *to, const unsigned char *p) {
    const __m256i spread = _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,          /* 12 octets from the 1st */
                                            5, 4, 6, 5, 8, 7, 9, 8, 11, 10, 12, 11, 14, 13, 15, 14);    /* and from the 5th of 16 */
    const __m256i shift = _mm256_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                           '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0,
                                           'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                           '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m256i in = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                         _mm_loadu_si128((const __m128i *)(p + 8)), 1);
    in = _mm256_shuffle_epi8(in, spread);
    __m256i odd = _mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
    __m256i even = _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
    __m256i six = _mm256_or_si256(odd, even);                   /* 0..63 each; now which range is it in? */
    __m256i range = _mm256_subs_epu8(six, _mm256_set1_epi8(51));
    range = _mm256_or_si256(range, _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), six), _mm256_set1_epi8(13)));
    _mm256_storeu_si256((__m256i *)to, _mm256_add_epi8(six, _mm256_shuffle_epi8(shift, range)));
}

AVX2 static void encode_avx2(char *to, const unsigned char *p, size_t groups) {
    for (; groups >= VECTOR / 3; groups -= VECTOR / 3, p += VECTOR, to += VECTOR / 3 * 4) encode_vector(to, p);
    encode(to, p, groups);
}

/* 57 octets are no multiple of 24: the third vector writes over 20 characters of the second, the same ones. */
AVX2 static char *encode_lines_avx2(char *to, const unsigned char *p, size_t lines) {
    for (;; p += LINE_OCTETS, to += LINE + 2) {
        encode_vector(to, p);
        encode_vector(to + 32, p + VECTOR);
        encode_vector(to + LINE - 32, p + LINE_OCTETS - VECTOR);
        if (--lines == 0) return to + LINE;
        memcpy(to + LINE, "\r\n", 2);
    }
}
#endif

/* ---- which of them --------------------------------------------------------*/

bool dm_base64_can(dm_base64_way way) {
#ifdef HAVE_AVX2
    if (way == DM_BASE64_AVX2) return __builtin_cpu_supports("avx2") != 0;
#endif
    return way == DM_BASE64_PORTABLE;
}

/* Asked each time: it is a load and a test, and nothing has to be remembered in a global. */
static dm_base64_way best(size_t n) {
    return n >= VECTOR && dm_base64_can(DM_BASE64_AVX2) ? DM_BASE64_AVX2 : DM_BASE64_PORTABLE;
}

static void encode_by(dm_base64_way way, char *to, const unsigned char *p, size_t groups) {
#ifdef HAVE_AVX2
    if (way == DM_BASE64_AVX2) {
        encode_avx2(to, p, groups);
        return;
    }
#endif
    (void)way;
    encode(to, p, groups);
}

static char *encode_lines_by(dm_base64_way way, char *to, const unsigned char *p, size_t lines) {
#ifdef HAVE_AVX2
    if (way == DM_BASE64_AVX2) return encode_lines_avx2(to, p, lines);
#endif
    (void)way;
    return encode_lines(to, p, lines);
}

/* ---- encoding -------------------------------------------------------------*/

/* The last one or two octets, padded to four characters. */
static void encode_tail(char *to, const unsigned char *p, size_t n) {
    unsigned bits = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0);
    to[0] = digits[bits >> 18];
    to[1] = digits[bits >> 12 & 63];
    to[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
    to[3] = '=';
}

size_t dm_base64_length(size_t n) {
    if (n > SIZE_MAX / 4 * 3 - 3) return SIZE_MAX;      /* no memory is that large: any limit refuses it */
    return (n + 2) / 3 * 4;
}

uint64_t dm_base64_lines_length(uint64_t n) {
    if (n > UINT64_MAX / 2) return UINT64_MAX;
    uint64_t chars = (n + 2) / 3 * 4;
    return chars == 0 ? 0 : chars + (chars - 1) / LINE * 2;
}

dm_code dm_base64_by(dm_base64_way way, dm_buf *out, dm_view in) {
    size_t length = dm_base64_length(in.n);
    char *to = dm_buf_room(out, length);
    if (!to || length == 0) return out->code;
    const unsigned char *p = (const unsigned char *)in.p;
    size_t groups = in.n / 3;
    encode_by(way, to, p, groups);
    if (in.n % 3) encode_tail(to + groups * 4, p + groups * 3, in.n % 3);
    out->n += length;
    return out->code;
}

dm_code dm_base64(dm_buf *out, dm_view in) { return dm_base64_by(best(in.n), out, in); }

/* One place for line ends: they are written when more follows, never behind the last line. */
static char *line_end(char *to, dm_base64_lines *s) {
    if (s->column < LINE) return to;
    memcpy(to, "\r\n", 2);
    s->column = 0;
    return to + 2;
}

dm_code dm_base64_put_by(dm_base64_way way, dm_buf *out, dm_base64_lines *s, dm_view in) {
    const unsigned char *p = (const unsigned char *)in.p;
    size_t n = in.n;
    size_t chars = n > SIZE_MAX / 4 ? SIZE_MAX / 2 : (s->nheld + n) / 3 * 4;
    size_t need = chars ? chars + (s->column + chars - 1) / LINE * 2 : 0;
    char *to = dm_buf_room(out, need);
    if (!to) return out->code;
    char *start = to;

    if (s->nheld > 0) {
        while (s->nheld < 3 && n > 0) {
            s->held[s->nheld++] = *p++;
            n--;
        }
        if (s->nheld < 3) return out->code;
        to = line_end(to, s);
        encode(to, s->held, 1);
        to += 4;
        s->column = (unsigned char)(s->column + 4);
        s->nheld = 0;
    }
    while (n >= 3) {
        to = line_end(to, s);
        if (s->column == 0 && n >= LINE_OCTETS) {       /* most of a long input: its lines in one pass */
            size_t lines = n / LINE_OCTETS;
            to = encode_lines_by(way, to, p, lines);
            p += lines * LINE_OCTETS;
            n -= lines * LINE_OCTETS;
            s->column = LINE;
            continue;
        }
        size_t groups = (size_t)(LINE - s->column) / 4;
        if (groups * 3 > n) groups = n / 3;
        encode_by(way, to, p, groups);
        to += groups * 4;
        p += groups * 3;
        n -= groups * 3;
        s->column = (unsigned char)(s->column + groups * 4);
    }
    while (n > 0) {
        s->held[s->nheld++] = *p++;
        n--;
    }
    out->n += (size_t)(to - start);
    return out->code;
}

dm_code dm_base64_put(dm_buf *out, dm_base64_lines *s, dm_view in) { return dm_base64_put_by(best(in.n), out, s, in); }

dm_code dm_base64_end(dm_buf *out, dm_base64_lines *s) {
    if (s->nheld > 0) {
        char *to = dm_buf_room(out, s->column < LINE ? 4 : 6);
        if (!to) return out->code;
        char *start = to;
        to = line_end(to, s);
        encode_tail(to, s->held, s->nheld);
        out->n += (size_t)(to + 4 - start);
    }
    memset(s, 0, sizeof *s);
    return out->code;
}

/* ---- decoding -------------------------------------------------------------*/

/* 0..63; 64: white space; 65: neither. */
static unsigned digit_of(unsigned char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A' + 0u;
    if (c >= 'a' && c <= 'z') return c - 'a' + 26u;
    if (dm_is_digit(c)) return c - '0' + 52u;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return dm_is_blank(c) || c == '\r' || c == '\n' ? 64 : 65;
}

dm_code dm_base64_decode(dm_buf *out, dm_view in) {
    /* Strict, so that what comes out encodes to what went in: padding must stand, and
    ** the bits under it must be zero (RFC 4648, 3.5). A refusal appends nothing. */
    size_t count = 0, pad = 0;
    for (size_t i = 0; i < in.n; i++) {
        unsigned d = digit_of((unsigned char)in.p[i]);
        if (d < 64 && pad == 0) count++;
        else if (in.p[i] == '=') pad++;
        else if (d != 64) return DM_E_CONTENT;
    }
    static const unsigned char pads[4] = {0, 9, 2, 1};      /* one digit alone is nothing */
    if (pad != pads[count % 4]) return DM_E_CONTENT;

    char *to = dm_buf_room(out, count / 4 * 3 + count % 4 * 3 / 4);
    if (!to) return out->code;
    size_t n = 0;
    uint32_t bits = 0;
    unsigned have = 0;          /* bits that are not yet written */
    for (size_t i = 0; i < in.n; i++) {
        unsigned d = digit_of((unsigned char)in.p[i]);
        if (d >= 64) continue;
        bits = bits << 6 | d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (char)(bits >> have);
        }
    }
    if (bits & ((1u << have) - 1)) return DM_E_CONTENT;
    out->n += n;
    return out->code;
}
