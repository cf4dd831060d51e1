/*
** mime_bench.c - messages a second and octets a second of the core's MIME, and of a bare program that does only what the
** memory demands.
** mime_bench ours|limit text TEXT HTML TIMES           whole messages of two texts
** mime_bench ours|limit attachment FILE TIMES          messages with one attachment, pulled in chunks and thrown away
** Prints how many a second of CPU time, and the octets of one message.
*/
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "directmail.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2
#include <immintrin.h>
#endif

enum { CHUNK = 64 * 1024, LINE_IN = 57, LINE_OUT = 78 };

static dm_view load(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(n + 64);
    if (!p || fread(p, 1, n, f) != n) exit(1);
    fclose(f);
    return (dm_view){p, n};
}

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static volatile char seen;              /* what is made is looked at, or the compiler would leave it out */

/* ---- ours ----------------------------------------------------------------*/

#define V(text) dm_view_of(text)

static size_t pull_ours(const dm_mail *mail, dm_buf *out, size_t chunk) {
    dm_message *m;
    dm_error err;
    int reader;
    size_t want, n = 0;
    dm_code code;
    if (dm_message_new(&m, mail, &err) != DM_OK) {
        fprintf(stderr, "mime_bench: %s %s\n", err.field, err.detail);
        exit(1);
    }
    do {
        out->n = 0;
        code = dm_message_pull(m, out, chunk, &reader, &want);
        n += out->n;
        if (out->n > 0) seen = out->p[out->n - 1];
    } while (code == DM_OK);
    if (code != DM_END || n != dm_message_size(m)) exit(1);
    dm_message_free(m);
    return n;
}

static size_t ours(const dm_view *files, size_t count, dm_buf *out, long number) {
    static const dm_mailbox from = {.name = {"Example", 7}, .address = {"noreply@mail.example.com", 24}};
    char address[64], subject[64], id[96];
    snprintf(address, sizeof address, "user%ld@example.com", number);
    snprintf(subject, sizeof subject, "Your order %ld", number);
    snprintf(id, sizeof id, "<%ld.5b1f2c3d4e5f60718293a4b5c6d7e8f9@mail.example.com>", number);
    dm_mailbox to = {.address = V(address)};
    const dm_field fields[] = {
        {.name = V("From"), .kind = DM_FIELD_MAILBOXES, .mailboxes = &from, .count = 1},
        {.name = V("To"), .kind = DM_FIELD_MAILBOXES, .mailboxes = &to, .count = 1},
        {.name = V("Subject"), .kind = DM_FIELD_TEXT, .value = V(subject)},
        {.name = V("Date"), .kind = DM_FIELD_TOKENS, .value = V("Mon, 23 Nov 2026 12:00:00 +0000")},
        {.name = V("Message-ID"), .kind = DM_FIELD_TOKENS, .value = V(id)},
    };
    const dm_part part = {.name = V("invoice.pdf"), .type = V("application/pdf"), .data = files[0], .reader = -1};
    dm_mail mail = {.mail_from = from.address, .rcpt_to = &to.address, .rcpt_count = 1, .fields = fields, .field_count = 5,
                    .boundary = V("=_5b1f2c3d4e5f60718293a4b5")};
    if (count == 2) mail.text = files[0], mail.html = files[1];
    else mail.text = V("See the attachment."), mail.parts = &part, mail.part_count = 1;
    return pull_ours(&mail, out, CHUNK);
}

/* ---- the limit -----------------------------------------------------------*/

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *scalar_groups(char *to, const unsigned char *p, size_t groups) {
    for (; groups > 0; groups--, p += 3, to += 4) {
        unsigned bits = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 63];
        to[2] = digits[bits >> 6 & 63];
        to[3] = digits[bits & 63];
    }
    return to;
}

#ifdef HAVE_AVX2
/* 24 octets from 28 that may be read become 32 characters: Muła and Lemire, https://arxiv.org/abs/1704.00605 */
__attribute__((target("avx2"))) static inline void avx2_block(char *to, const unsigned char *p) {
    __m256i in = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)), _mm_loadu_si128((const __m128i *)(p + 12)), 1);
    in = _mm256_shuffle_epi8(in, _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    __m256i high = _mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
    __m256i low = _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
    __m256i index = _mm256_or_si256(high, low);
    __m256i row = _mm256_or_si256(_mm256_subs_epu8(index, _mm256_set1_epi8(51)),
                                  _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), index), _mm256_set1_epi8(13)));
    const __m256i shift = _mm256_setr_epi8(71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0,
                                           71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0);
    _mm256_storeu_si256((__m256i *)to, _mm256_add_epi8(_mm256_shuffle_epi8(shift, row), index));
}

/* Whole lines; 'p' has at least 16 octets behind them. */
__attribute__((target("avx2"))) static char *avx2_lines(char *to, const unsigned char *p, size_t lines) {
    for (; lines > 0; lines--, p += LINE_IN, to += LINE_OUT) {
        avx2_block(to, p);
        avx2_block(to + 32, p + 24);
        avx2_block(to + 44, p + 33);        /* the line's last 24 octets once more: shorter than its own code */
        memcpy(to + 76, "\r\n", 2);
    }
    return to;
}
#endif

static char *scalar_lines(char *to, const unsigned char *p, size_t lines) {
    for (; lines > 0; lines--, p += LINE_IN) {
        to = scalar_groups(to, p, LINE_IN / 3);
        memcpy(to, "\r\n", 2);
        to += 2;
    }
    return to;
}

static char *(*lines_of)(char *, const unsigned char *, size_t) = scalar_lines;

static size_t limit_attachment(dm_view file, char *out) {
    static const char head[] = "From: Example <noreply@mail.example.com>\r\nTo: user@example.com\r\nSubject: Your order\r\n"
        "MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    size_t n = sizeof head - 1, lines = file.n / LINE_IN, most = CHUNK / LINE_OUT;
    memcpy(out, head, n);
    const unsigned char *p = (const unsigned char *)file.p;
    while (lines > 0) {
        size_t some = lines < most ? lines : most;
        n += (size_t)(lines_of(out, p, some) - out);
        seen = out[some * LINE_OUT - 1];
        p += some * LINE_IN;
        lines -= some;
    }
    return n + (size_t)(scalar_groups(out, p, file.n % LINE_IN / 3) - out);
}

/* Quoted-printable in one pass, an octet at a time. */
static char *limit_qp(char *to, dm_view text, const unsigned char *plain) {
    static const char hex[] = "0123456789ABCDEF";
    size_t column = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\n') {
            memcpy(to, "\r\n", 2);
            to += 2;
            column = 0;
            continue;
        }
        if (column >= 73) {
            memcpy(to, "=\r\n", 3);
            to += 3;
            column = 0;
        }
        if (plain[c]) {
            *to++ = (char)c;
            column++;
        } else {
            *to++ = '=';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
            column += 3;
        }
    }
    return to;
}

#define COPY(text) (memcpy(to, text, sizeof text - 1), to += sizeof text - 1)

static size_t limit_text(dm_view text, dm_view html, char *out, const unsigned char *plain) {
    char *to = out;
    COPY("From: Example <noreply@mail.example.com>\r\nTo: user@example.com\r\nSubject: Your order\r\n"
         "Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <5b1f2c3d4e5f60718293a4b5c6d7e8f9@mail.example.com>\r\nMIME-Version: 1.0\r\n"
         "Content-Type: multipart/alternative; boundary=\"=_5b1f2c3d4e5f60718293a4b5\"\r\n\r\n--=_5b1f2c3d4e5f60718293a4b5\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    to = limit_qp(to, text, plain);
    COPY("\r\n--=_5b1f2c3d4e5f60718293a4b5\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    to = limit_qp(to, html, plain);
    COPY("\r\n--=_5b1f2c3d4e5f60718293a4b5--\r\n");
    seen = to[-1];
    return (size_t)(to - out);
}

/* ---- both ----------------------------------------------------------------*/

int main(int argc, char **argv) {
    bool is_ours = argc > 1 && strcmp(argv[1], "ours") == 0, text = argc > 2 && strcmp(argv[2], "text") == 0;
    if (argc != (text ? 6 : 5)) {
        fprintf(stderr, "usage: mime_bench ours|limit text TEXT HTML TIMES | attachment FILE TIMES\n");
        return 2;
    }
    dm_view files[2] = {load(argv[3]), text ? load(argv[4]) : (dm_view){NULL, 0}};
    long times = atol(argv[argc - 1]);
    unsigned char plain[256];
    for (int c = 0; c < 256; c++) plain[c] = (c >= 32 && c < 127 && c != '=') || c == '\t';
#ifdef HAVE_AVX2
    if (__builtin_cpu_supports("avx2")) lines_of = avx2_lines;
#endif
    dm_buf out;
    dm_buf_init(&out, SIZE_MAX / 2);
    size_t n = 0;
    char *to = dm_buf_room(&out, CHUNK + 3 * (files[0].n + files[1].n) * (text ? 1 : 0) + 4096);
    if (!to) return 1;
    double began = 0;
    for (long i = -1; i < times; i++) {         /* the first one fetches pages and is not counted */
        if (i == 0) began = cpu();
        n = is_ours ? ours(files, text ? 2 : 1, &out, i) : text ? limit_text(files[0], files[1], to, plain) : limit_attachment(files[0], to);
    }
    double rate = (double)times / (cpu() - began);
    printf("rate=%.3f octets=%zu\n", rate, n);
    dm_buf_clear(&out);
    return 0;
}
