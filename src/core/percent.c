/* percent.c - percent-encoding of RFC 3986, once and twice in one pass. */
#include "buf.h"

static const char digits[] = "0123456789ABCDEF";

/* RFC 3986, 2.3. A table and no <ctype.h>: isalnum() depends on the locale. */
#define U(c) [c] = 1
static const unsigned char unreserved[256] = {
    U('A'), U('B'), U('C'), U('D'), U('E'), U('F'), U('G'), U('H'), U('I'), U('J'), U('K'), U('L'), U('M'),
    U('N'), U('O'), U('P'), U('Q'), U('R'), U('S'), U('T'), U('U'), U('V'), U('W'), U('X'), U('Y'), U('Z'),
    U('a'), U('b'), U('c'), U('d'), U('e'), U('f'), U('g'), U('h'), U('i'), U('j'), U('k'), U('l'), U('m'),
    U('n'), U('o'), U('p'), U('q'), U('r'), U('s'), U('t'), U('u'), U('v'), U('w'), U('x'), U('y'), U('z'),
    U('0'), U('1'), U('2'), U('3'), U('4'), U('5'), U('6'), U('7'), U('8'), U('9'),
    U('-'), U('_'), U('.'), U('~'),
};
#undef U

/* Octets of 'in' when each escaped one becomes 'wide' octets; SIZE_MAX when that
** cannot be counted, which no buffer's limit allows. */
static size_t length(dm_view in, size_t wide) {
    if (in.n > SIZE_MAX / wide) return SIZE_MAX;
    size_t plain = 0;
    for (size_t i = 0; i < in.n; i++) plain += unreserved[(unsigned char)in.p[i]];
    return plain + (in.n - plain) * wide;
}

dm_code dm_percent(dm_buf *out, dm_view in) {
    size_t n = length(in, 3);
    char *to = dm_buf_room(out, n);
    if (!to) return out->code;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (unreserved[c]) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    out->n += n;
    return out->code;
}

dm_code dm_percent_twice(dm_buf *once, dm_buf *twice, dm_view in) {
    size_t n1 = length(in, 3), n2 = length(in, 5);
    char *a = dm_buf_room(once, n1);
    if (!a) return once->code;
    char *b = dm_buf_room(twice, n2);
    if (!b) return twice->code;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (unreserved[c]) {
            *a++ = *b++ = (char)c;
        } else {            /* of "%XY" the digits are unreserved, the '%' becomes "%25" */
            *a++ = '%';
            *b++ = '%';
            *b++ = '2';
            *b++ = '5';
            *a++ = *b++ = digits[c >> 4];
            *a++ = *b++ = digits[c & 15];
        }
    }
    once->n += n1;
    twice->n += n2;
    return DM_OK;
}
