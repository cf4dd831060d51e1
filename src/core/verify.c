/* verify.c - a signature checked with the RSA key of an X.509 certificate, by libcrypto. */
#include "buf.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* A certificate with a key of 16384 bits has 6 KB; it comes from outside. */
#define MAX_PEM 65536

/* The password of an encrypted PEM would be asked for on the terminal: there is none. */
static int no_password(char *buf, int size, int writing, void *user) {
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

dm_code dm_verify(dm_view pem, dm_hash hash, dm_view signature, dm_view in) {
    dm_code code = DM_E_CONTENT;
    BIO *bio = NULL;
    X509 *cert = NULL;
    EVP_MD *md = NULL;
    EVP_MD_CTX *ctx = NULL;
    EVP_PKEY *key;

    if (pem.n == 0 || pem.n > MAX_PEM) return code;
    bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    md = EVP_MD_fetch(NULL, hash == DM_SHA1 ? "SHA1" : "SHA256", NULL);
    ctx = EVP_MD_CTX_new();
    if (!bio || !md || !ctx) {
        code = DM_E_MEMORY;
        goto done;
    }
    cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    key = cert ? X509_get0_pubkey(cert) : NULL;
    if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) goto done;
    if (!EVP_DigestVerifyInit(ctx, NULL, md, NULL, key)) {
        code = DM_E_MEMORY;
        goto done;
    }
    code = EVP_DigestVerify(ctx, (const unsigned char *)(signature.p ? signature.p : ""), signature.n,
                            (const unsigned char *)(in.p ? in.p : ""), in.n) == 1
               ? DM_OK : DM_E_SIGNATURE;
done:
    ERR_clear_error();          /* they queue up in the thread, and its next TLS call would take ours for its own */
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    X509_free(cert);
    BIO_free(bio);
    return code;
}
