/*
** base64_bench.c - base64 in lines of 76, GB/s of octets that come in, beside what the memory alone demands.
** gcc -O2 -Iinclude -Isrc/core tests/bench/base64_bench.c build/libdirectmail_core.a -lidn2 -lcrypto -o build/base64_bench
** The limit reads 57 octets and writes 78 for each line and computes nothing. Five rounds, alternating; medians are compared.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base64.h"

enum { ROUNDS = 5, CHUNK = 72 * 57, WAYS = 3, LIMIT = 2 };     /* CHUNK: what the message builder pulls at once */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);        /* nothing waits here, and a busy machine must not count */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void limit(char *to, const char *p, size_t n) {
    for (; n >= 57; n -= 57, p += 57, to += 78) {
        memcpy(to, p, 57);
        memcpy(to + 57, p + 36, 21);
    }
}

int main(void) {
    static const char *const names[WAYS] = {"portable", "AVX2", "limit"};
    static const size_t sizes[] = {4104, 1 << 20, 20 << 20};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k], turns = (200u << 20) / n;
        char *in = malloc(n), *flat = malloc(n / 57 * 78 + 78);
        if (!in || !flat) return 1;
        for (size_t i = 0; i < n; i++) in[i] = (char)(i * 2654435761u >> 13);
        memset(flat, 0, n / 57 * 78 + 78);
        dm_buf out;
        dm_buf_init(&out, 2 * n + 1000);
        double rate[WAYS][ROUNDS] = {{0}};
        for (int round = 0; round < ROUNDS; round++)
            for (int way = 0; way < WAYS; way++) {
                if (way == DM_BASE64_AVX2 && !dm_base64_can(DM_BASE64_AVX2)) continue;
                double start = now();
                for (size_t turn = 0; turn < turns; turn++) {
                    dm_base64_lines s = {0};
                    out.n = 0;
                    if (way == LIMIT) limit(flat, in, n);
                    else for (size_t i = 0; i < n; i += CHUNK)
                        dm_base64_put_by((dm_base64_way)way, &out, &s, (dm_view){in + i, n - i < CHUNK ? n - i : CHUNK});
                    __asm__ volatile("" : : "r"(flat), "r"(out.p) : "memory");
                }
                rate[way][round] = (double)n * (double)turns / (now() - start) / 1e9;
            }
        for (int way = 0; way < WAYS; way++) qsort(rate[way], ROUNDS, sizeof **rate, by_value);
        for (int way = 0; way < WAYS; way++) {
            if (way == DM_BASE64_AVX2 && !dm_base64_can(DM_BASE64_AVX2)) continue;
            printf("%8zu octets  %-8s %6.2f GB/s  %3.0f %% of the limit\n", n, names[way], rate[way][ROUNDS / 2],
                   100 * rate[way][ROUNDS / 2] / rate[LIMIT][ROUNDS / 2]);
        }
        dm_buf_clear(&out);
        free(in);
        free(flat);
    }
    return 0;
}
