/* verify_test.c - claims about src/core/verify.c, with a push of the vendor's and OpenSSL's own signatures */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "directmail.h"

/* A push of MNS of 2023-03-29 and the certificate at
** https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem, as a public test of another receiver has them. */
static const char CERT[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIICiDCCAjKgAwIBAgIJAL+acWZrTrlfMA0GCSqGSIb3DQEBBQUAMGMxCzAJBgNV\n"
    "BAYTAjg2MREwDwYDVQQIEwhaaGVqaWFuZzERMA8GA1UEBxMISGFuZ3pob3UxDzAN\n"
    "BgNVBAoTBkFsaXl1bjEMMAoGA1UECxMDTW5zMQ8wDQYDVQQDEwZub3RpZnkwHhcN\n"
    "MTUwNzAyMDIwNjE2WhcNMTYwNzAxMDIwNjE2WjBjMQswCQYDVQQGEwI4NjERMA8G\n"
    "A1UECBMIWmhlamlhbmcxETAPBgNVBAcTCEhhbmd6aG91MQ8wDQYDVQQKEwZBbGl5\n"
    "dW4xDDAKBgNVBAsTA01uczEPMA0GA1UEAxMGbm90aWZ5MFwwDQYJKoZIhvcNAQEB\n"
    "BQADSwAwSAJBALX0sFVowct1NAQjDyYSUf0rp1rOHLkz4kp0zNWcDyXMXa5PzsPU\n"
    "UwJXaLwhvNCDLLWuiLK6Oh5elmOmL8Gy/5MCAwEAAaOByDCBxTAdBgNVHQ4EFgQU\n"
    "kEah2o9HpCUCxhN/fY3kUtPkP4owgZUGA1UdIwSBjTCBioAUkEah2o9HpCUCxhN/\n"
    "fY3kUtPkP4qhZ6RlMGMxCzAJBgNVBAYTAjg2MREwDwYDVQQIEwhaaGVqaWFuZzER\n"
    "MA8GA1UEBxMISGFuZ3pob3UxDzANBgNVBAoTBkFsaXl1bjEMMAoGA1UECxMDTW5z\n"
    "MQ8wDQYDVQQDEwZub3RpZnmCCQC/mnFma065XzAMBgNVHRMEBTADAQH/MA0GCSqG\n"
    "SIb3DQEBBQUAA0EAluPg+k0Fc7WRcpP78+eLptYD8an7YOapUdNUmT2/SQC5BZ+t\n"
    "cyWFit5pAEipngFL105d7AuW2AtwqG0FgV0ipw==\n"
    "-----END CERTIFICATE-----\n";
static const char TEXT[] =
    "POST\n4CCBAD7AF2D23C2D00DDECCA59323A8C\ntext/plain;charset=utf-8\nWed, 29 Mar 2023 08:41:27 GMT\n"
    "x-mns-message-id:250EB49D5F8D737A391C93C6ED165396\nx-mns-publish-time:1680079287576\n"
    "x-mns-request-id:6423F9B7BF94313030AF5EA0\n"
    "x-mns-signing-cert-url:aHR0cHM6Ly9tbnN0ZXN0Lm9zcy1jbi1oYW5nemhvdS5hbGl5dW5jcy5jb20veDUwOV9wdWJsaWNfY2VydGlmaWNhdGUucGVt\n"
    "x-mns-subscriber:1321669497458181\nx-mns-subscription-name:mns-en-subs-oss-fecdn-internal-pre-1-22849529855680\n"
    "x-mns-topic-name:mns-en-topics-oss-fecdn-internal-pre-22849529792243\nx-mns-topic-owner:1321669497458181\n"
    "x-mns-version:2015-06-06\n/notifications";
static const char SIGNATURE[] = "LP3cxoTCbhsiLJi0KQdEiRaufaxMfWUdLH064yoVoKl8xNcY+299itGmGsirVMY8vDpuZ1VwS0Uw7R5dNduSXg==";

static size_t decoded(unsigned char out[64]) {
    dm_buf b;
    dm_buf_init(&b, 1000);
    assert_int_equal(dm_base64_decode(&b, dm_view_of(SIGNATURE)), DM_OK);
    assert_int_equal(b.n, 64);
    memcpy(out, b.p, 64);
    dm_buf_clear(&b);
    return 64;
}

static void the_vendors_push_is_true(void **state) {
    unsigned char sig[64];
    (void)state;
    dm_view s = {(char *)sig, decoded(sig)};
    assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA1, s, dm_view_of(TEXT)), DM_OK);
    assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA256, s, dm_view_of(TEXT)), DM_E_SIGNATURE);
}

static void one_changed_bit_of_text_or_signature_is_seen(void **state) {
    unsigned char sig[64];
    char text[sizeof TEXT];
    (void)state;
    dm_view s = {(char *)sig, decoded(sig)};
    for (size_t i = 0; i < sizeof sig; i++) {
        sig[i] ^= 1;
        assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA1, s, dm_view_of(TEXT)), DM_E_SIGNATURE);
        sig[i] ^= 1;
    }
    memcpy(text, TEXT, sizeof TEXT);
    for (size_t i = 0; i + 1 < sizeof TEXT; i += 7) {
        text[i] ^= 1;
        assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA1, s, (dm_view){text, sizeof TEXT - 1}), DM_E_SIGNATURE);
        text[i] ^= 1;
    }
    for (size_t n = 0; n < sizeof sig; n++)
        assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA1, (dm_view){(char *)sig, n}, dm_view_of(TEXT)), DM_E_SIGNATURE);
    assert_int_equal(dm_verify(dm_view_of(CERT), DM_SHA1, s, (dm_view){NULL, 0}), DM_E_SIGNATURE);
}

static void every_shorter_certificate_is_none(void **state) {
    unsigned char sig[64];
    (void)state;
    dm_view s = {(char *)sig, decoded(sig)};
    size_t whole = strlen(CERT) - 1;        /* its last line end may be missing */
    for (size_t n = 0; n < whole; n++)
        assert_int_equal(dm_verify((dm_view){CERT, n}, DM_SHA1, s, dm_view_of(TEXT)), DM_E_CONTENT);
    assert_int_equal(dm_verify((dm_view){CERT, whole}, DM_SHA1, s, dm_view_of(TEXT)), DM_OK);
    assert_int_equal(dm_verify(dm_view_of("-----BEGIN PUBLIC KEY-----\n"), DM_SHA1, s, dm_view_of(TEXT)), DM_E_CONTENT);
}

static void a_certificate_without_end_is_not_read(void **state) {
    char *large = malloc(70000);
    (void)state;
    memset(large, '\n', 70000);
    memcpy(large, CERT, strlen(CERT));
    unsigned char sig[64];
    dm_view s = {(char *)sig, decoded(sig)};
    assert_int_equal(dm_verify((dm_view){large, 65536}, DM_SHA1, s, dm_view_of(TEXT)), DM_OK);
    assert_int_equal(dm_verify((dm_view){large, 65537}, DM_SHA1, s, dm_view_of(TEXT)), DM_E_CONTENT);
    free(large);
}

/* A certificate of OpenSSL's own making with a key of some kind. */
static char *certificate(EVP_PKEY *key, size_t *n) {
    X509 *x = X509_new();
    assert_true(X509_set_pubkey(x, key) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
    assert_true(X509_gmtime_adj(X509_getm_notBefore(x), 0) && X509_gmtime_adj(X509_getm_notAfter(x), 60));
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_X509(bio, x));
    char *bytes;
    *n = (size_t)BIO_get_mem_data(bio, &bytes);
    char *copy = malloc(*n);
    memcpy(copy, bytes, *n);
    BIO_free(bio);
    X509_free(x);
    return copy;
}

static void rsa_with_sha256_is_taken_and_another_kind_of_key_is_not(void **state) {
    (void)state;
    size_t n, len = 0;
    EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char sig[256];
    assert_true(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, rsa) && EVP_DigestSign(ctx, NULL, &len, (const unsigned char *)"hi", 2));
    assert_int_equal(len, sizeof sig);
    assert_true(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"hi", 2));
    char *pem = certificate(rsa, &n);
    assert_int_equal(dm_verify((dm_view){pem, n}, DM_SHA256, (dm_view){(char *)sig, len}, dm_view_of("hi")), DM_OK);
    assert_int_equal(dm_verify((dm_view){pem, n}, DM_SHA256, (dm_view){(char *)sig, len}, dm_view_of("ho")), DM_E_SIGNATURE);
    free(pem);
    pem = certificate(ec, &n);
    assert_int_equal(dm_verify((dm_view){pem, n}, DM_SHA256, (dm_view){(char *)sig, len}, dm_view_of("hi")), DM_E_CONTENT);
    free(pem);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

static void no_error_stays_in_the_thread(void **state) {
    unsigned char sig[64];
    (void)state;
    dm_view s = {(char *)sig, decoded(sig)};
    ERR_clear_error();
    dm_verify(dm_view_of("rubbish"), DM_SHA1, s, dm_view_of(TEXT));
    dm_verify(dm_view_of(CERT), DM_SHA1, s, dm_view_of("x"));
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vendors_push_is_true),
        cmocka_unit_test(one_changed_bit_of_text_or_signature_is_seen),
        cmocka_unit_test(every_shorter_certificate_is_none),
        cmocka_unit_test(a_certificate_without_end_is_not_read),
        cmocka_unit_test(rsa_with_sha256_is_taken_and_another_kind_of_key_is_not),
        cmocka_unit_test(no_error_stays_in_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
