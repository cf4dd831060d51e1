/* vectors.h - reads tests/data/signing.tsv, the known answers of request signing; its head explains the form. */
#ifndef DM_TEST_VECTORS_H
#define DM_TEST_VECTORS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

#define VECTORS "tests/data/signing.tsv"

enum { MAX_PAIRS = 64, MAX_FIELDS = 8 };

typedef struct answer {
    bool given;
    dm_view text;               /* or, when 'hex' is set, its length and SHA-256 */
    size_t octets;
    char hex[65];
} answer;

typedef struct vector {
    char id[32];
    dm_scheme scheme;
    dm_view method, path, body;
    dm_key key;
    dm_pair params[MAX_PAIRS], headers[MAX_PAIRS];
    size_t param_count, header_count;
    answer canonical_query, string_to_sign, canonical_request, hashed_payload, signature, authorization;
} vector;

typedef struct vectors {
    char *bytes;                /* of the file, unescaped in place */
    char *at;
    char *made[4096];           /* @repeat texts */
    size_t made_count;
} vectors;

static inline void vectors_open(vectors *v) {
    memset(v, 0, sizeof *v);
    FILE *f = fopen(VECTORS, "rb");
    if (!f) {
        fprintf(stderr, "cannot open " VECTORS "; run this in the project's folder\n");
        abort();
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    v->bytes = v->at = malloc((size_t)size + 1);
    if (!v->bytes || fread(v->bytes, 1, (size_t)size, f) != (size_t)size) abort();
    v->bytes[size] = '\0';
    fclose(f);
}

static inline void vectors_close(vectors *v) {
    for (size_t i = 0; i < v->made_count; i++) free(v->made[i]);
    free(v->bytes);
}

static inline dm_view vectors_unescape(char *field) {
    char *to = field;
    for (const char *p = field; *p; p++) {
        if (*p != '\\') {
            *to++ = *p;
        } else {
            char hex[3] = {0};
            switch (*++p) {
            case 'n': *to++ = '\n'; break;
            case 'r': *to++ = '\r'; break;
            case 't': *to++ = '\t'; break;
            case '\\': *to++ = '\\'; break;
            case 'x':
                memcpy(hex, p + 1, 2);
                *to++ = (char)strtol(hex, NULL, 16);
                p += 2;
                break;
            default: abort();
            }
        }
    }
    return (dm_view){field, (size_t)(to - field)};
}

/* The next line that is no comment, cut at its tabs; false at the end. An empty line has no field. */
static inline bool vectors_line(vectors *v, char *fields[MAX_FIELDS], int *n) {
    while (*v->at) {
        char *line = v->at;
        char *end = strchr(line, '\n');
        v->at = end + 1;
        *end = '\0';
        if (*line == '#') continue;
        *n = 0;
        while (*line && *n < MAX_FIELDS) {
            fields[(*n)++] = line;
            line += strcspn(line, "\t");
            if (*line) *line++ = '\0';
        }
        for (int i = *n; i < MAX_FIELDS; i++) fields[i] = end;     /* an empty text */
        return true;
    }
    return false;
}

static inline dm_view vectors_value(vectors *v, char **field) {
    if (strcmp(field[0], "@repeat") != 0) return vectors_unescape(field[0]);
    size_t times = (size_t)atol(field[1]);
    dm_view head = vectors_unescape(field[2]), text = vectors_unescape(field[3]), tail = vectors_unescape(field[4]);
    dm_view out = {NULL, head.n + times * text.n + tail.n};
    char *p = malloc(out.n);
    if (!p) abort();
    v->made[v->made_count++] = p;
    out.p = p;
    memcpy(p, head.p, head.n);
    p += head.n;
    for (; times > 0; times--, p += text.n) memcpy(p, text.p, text.n);
    memcpy(p, tail.p, tail.n);
    return out;
}

/* The next vector; false at the end. */
static inline bool vectors_next(vectors *v, vector *out) {
    char *f[MAX_FIELDS];
    int n;
    bool open = false;
    memset(out, 0, sizeof *out);
    while (vectors_line(v, f, &n)) {
        if (n == 0 && open) return true;
        if (n == 0 || strcmp(f[0], "percent") == 0) continue;
        const struct {
            const char *name;
            answer *to;
        } answers[] = {
            {"canonical_query", &out->canonical_query},     {"string_to_sign", &out->string_to_sign},
            {"canonical_request", &out->canonical_request}, {"hashed_payload", &out->hashed_payload},
            {"signature", &out->signature},                 {"authorization", &out->authorization},
        };
        if (strcmp(f[0], "vector") == 0) {
            open = true;
            snprintf(out->id, sizeof out->id, "%s", f[1]);
            out->scheme = strcmp(f[2], "HMAC-SHA1") == 0 ? DM_SIGN_V1 : DM_SIGN_V3;
            out->method = vectors_unescape(f[3]);
        } else if (strcmp(f[0], "key") == 0) {
            out->key.id = vectors_unescape(f[1]);
            out->key.secret = vectors_unescape(f[2]);
        } else if (strcmp(f[0], "path") == 0) {
            out->path = vectors_unescape(f[1]);
        } else if (strcmp(f[0], "body") == 0) {
            out->body = vectors_value(v, f + 1);
        } else if (strcmp(f[0], "param") == 0 || strcmp(f[0], "header") == 0) {
            bool param = f[0][0] == 'p';
            dm_pair *pair = param ? &out->params[out->param_count++] : &out->headers[out->header_count++];
            pair->name = vectors_unescape(f[1]);
            pair->value = vectors_value(v, f + 2);
        } else {
            answer *a = NULL;
            for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
                if (strcmp(f[0], answers[i].name) == 0) a = answers[i].to;
            if (!a) abort();
            a->given = true;
            if (strcmp(f[1], "@sha256") == 0) {
                a->octets = (size_t)atol(f[2]);
                snprintf(a->hex, sizeof a->hex, "%s", f[3]);
            } else {
                a->text = vectors_unescape(f[1]);
            }
        }
    }
    return open;
}

#endif
