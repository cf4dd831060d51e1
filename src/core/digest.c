/* digest.c - SHA-256 and HMAC by libcrypto, which is called here and in verify.c only. */
#include "buf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

/* Looking an algorithm up costs more than hashing a short text (OpenSSL 3 fetches
** at each use by name), so it is done once an object. */
struct dm_digest {
    EVP_MD *sha256;
    EVP_MD_CTX *md;
    EVP_MAC *hmac;
    EVP_MAC_CTX *mac[2];        /* by dm_hash; made at first use */
};

/* libcrypto's errors queue up in the thread, and its next TLS call would take ours
** for its own. The algorithms are there, so all that can be missing is memory. */
static dm_code failed(void) {
    ERR_clear_error();
    return DM_E_MEMORY;
}

dm_digest *dm_digest_new(void) {
    dm_digest *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    d->md = EVP_MD_CTX_new();
    d->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (!d->sha256 || !d->md || !d->hmac) {
        dm_digest_free(d);
        failed();
        return NULL;
    }
    return d;
}

void dm_digest_free(dm_digest *d) {
    if (!d) return;
    EVP_MAC_CTX_free(d->mac[DM_SHA1]);
    EVP_MAC_CTX_free(d->mac[DM_SHA256]);
    EVP_MAC_free(d->hmac);
    EVP_MD_CTX_free(d->md);
    EVP_MD_free(d->sha256);
    free(d);
}

dm_code dm_digest_sha256(dm_digest *d, dm_view in, unsigned char out[DM_SHA256_SIZE]) {
    unsigned n = 0;
    if (!EVP_DigestInit_ex2(d->md, d->sha256, NULL) || !EVP_DigestUpdate(d->md, in.p ? in.p : "", in.n) ||
        !EVP_DigestFinal_ex(d->md, out, &n))
        return failed();
    return DM_OK;
}

static EVP_MAC_CTX *mac_new(EVP_MAC *hmac, dm_hash hash) {
    char name[2][8] = {"SHA1", "SHA256"};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name[hash], 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    if (mac && !EVP_MAC_CTX_set_params(mac, params)) {
        EVP_MAC_CTX_free(mac);
        return NULL;
    }
    return mac;
}

dm_code dm_digest_hmac(dm_digest *d, dm_hash hash, dm_view key, dm_view in, unsigned char *out) {
    const size_t size = hash == DM_SHA1 ? DM_SHA1_SIZE : DM_SHA256_SIZE;
    static const unsigned char nothing[1] = {0};
    size_t n = 0;
    if (!d->mac[hash]) d->mac[hash] = mac_new(d->hmac, hash);
    EVP_MAC_CTX *mac = d->mac[hash];
    if (!mac) return failed();
    bool done = EVP_MAC_init(mac, key.n ? (const unsigned char *)key.p : nothing, key.n, NULL) &&
                EVP_MAC_update(mac, (const unsigned char *)(in.p ? in.p : ""), in.n) && EVP_MAC_final(mac, out, &n, size);
    /* Another key overwrites this one and what was derived from it. */
    if (!done || !EVP_MAC_init(mac, nothing, sizeof nothing, NULL)) {
        EVP_MAC_CTX_free(mac);
        d->mac[hash] = NULL;
        failed();
    }
    return done ? DM_OK : DM_E_MEMORY;
}

dm_code dm_hex(dm_buf *out, dm_view in) {
    static const char digits[] = "0123456789abcdef";
    char *to = dm_buf_room(out, in.n > SIZE_MAX / 2 ? SIZE_MAX : in.n * 2);
    if (!to) return out->code;
    for (size_t i = 0; i < in.n; i++) {
        *to++ = digits[(unsigned char)in.p[i] >> 4];
        *to++ = digits[(unsigned char)in.p[i] & 15];
    }
    out->n += in.n * 2;
    return out->code;
}

bool dm_same(dm_view a, dm_view b) {
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
