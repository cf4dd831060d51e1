/* digest_test.c - claims about src/core/digest.c, with the vendors' and RFCs' own answers */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <string.h>

#include "directmail.h"

static void is_hex(const unsigned char *bytes, size_t n, const char *want) {
    dm_buf b;
    dm_buf_init(&b, 1000);
    assert_int_equal(dm_hex(&b, (dm_view){(const char *)bytes, n}), DM_OK);
    dm_buf_addc(&b, '\0');
    assert_string_equal(b.p, want);
    dm_buf_clear(&b);
}

/* FIPS 180-4's examples, https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values */
static void sha256_meets_the_published_examples(void **state) {
    dm_digest *d = *state;
    unsigned char out[DM_SHA256_SIZE];
    assert_int_equal(dm_digest_sha256(d, (dm_view){NULL, 0}, out), DM_OK);
    is_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(dm_digest_sha256(d, dm_view_of("abc"), out), DM_OK);
    is_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(dm_digest_sha256(d, dm_view_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), out), DM_OK);
    is_hex(out, sizeof out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void hmac_sha1_meets_rfc_2202(void **state) {
    dm_digest *d = *state;
    unsigned char out[DM_SHA1_SIZE];
    char key[80];
    memset(key, 0x0b, 20);
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, (dm_view){key, 20}, dm_view_of("Hi There"), out), DM_OK);
    is_hex(out, sizeof out, "b617318655057264e28bc0b6fb378c8ef146be00");
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, dm_view_of("Jefe"), dm_view_of("what do ya want for nothing?"), out), DM_OK);
    is_hex(out, sizeof out, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    memset(key, 0xaa, 80);          /* longer than the block */
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, (dm_view){key, 80}, dm_view_of("Test Using Larger Than Block-Size Key - Hash Key First"), out), DM_OK);
    is_hex(out, sizeof out, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

static void hmac_sha256_meets_rfc_4231(void **state) {
    dm_digest *d = *state;
    unsigned char out[DM_SHA256_SIZE];
    char key[131];
    memset(key, 0x0b, 20);
    assert_int_equal(dm_digest_hmac(d, DM_SHA256, (dm_view){key, 20}, dm_view_of("Hi There"), out), DM_OK);
    is_hex(out, sizeof out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(dm_digest_hmac(d, DM_SHA256, dm_view_of("Jefe"), dm_view_of("what do ya want for nothing?"), out), DM_OK);
    is_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    assert_int_equal(dm_digest_hmac(d, DM_SHA256, (dm_view){key, 131}, dm_view_of("Test Using Larger Than Block-Size Key - Hash Key First"), out), DM_OK);
    is_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void an_empty_key_and_an_empty_text_are_hashed(void **state) {
    dm_digest *d = *state;
    unsigned char out[DM_SHA256_SIZE];
    dm_view none = {NULL, 0};
    assert_int_equal(dm_digest_hmac(d, DM_SHA256, none, none, out), DM_OK);
    is_hex(out, DM_SHA256_SIZE, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, none, none, out), DM_OK);
    is_hex(out, DM_SHA1_SIZE, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

static void an_empty_key_is_not_the_key_before(void **state) {
    dm_digest *d = *state;
    unsigned char a[DM_SHA1_SIZE], b[DM_SHA1_SIZE];
    dm_view text = dm_view_of("text");
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, (dm_view){NULL, 0}, text, a), DM_OK);
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, dm_view_of("secret&"), text, b), DM_OK);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(dm_digest_hmac(d, DM_SHA1, (dm_view){NULL, 0}, text, b), DM_OK);
    assert_memory_equal(a, b, sizeof a);
}

static void hex_is_small_and_keeps_to_the_limit(void **state) {
    (void)state;
    dm_buf b;
    dm_buf_init(&b, 4);
    assert_int_equal(dm_hex(&b, (dm_view){"\x00\xff", 2}), DM_OK);
    assert_memory_equal(b.p, "00ff", 4);
    assert_int_equal(dm_hex(&b, (dm_view){"x", 1}), DM_E_SIZE);
    assert_int_equal(b.n, 4);
    dm_buf_clear(&b);
}

static void same_compares_octets_and_lengths(void **state) {
    (void)state;
    assert_true(dm_same(dm_view_of("secret"), dm_view_of("secret")));
    assert_false(dm_same(dm_view_of("secret"), dm_view_of("secreT")));
    assert_false(dm_same(dm_view_of("Secret"), dm_view_of("secret")));
    assert_false(dm_same(dm_view_of("secret"), dm_view_of("secret2")));
    assert_false(dm_same(dm_view_of(""), dm_view_of("x")));
    assert_true(dm_same((dm_view){NULL, 0}, dm_view_of("")));
    assert_true(dm_same((dm_view){"a\0b", 3}, (dm_view){"a\0b", 3}));
    assert_false(dm_same((dm_view){"a\0b", 3}, (dm_view){"a\0c", 3}));
}

/* A TLS call of the same thread reads the queue and takes what stands there for its own failure. */
static void the_error_queue_of_libcrypto_stays_empty(void **state) {
    (void)state;
    assert_int_equal(ERR_peek_error(), 0);
}

static int setup(void **state) {
    *state = dm_digest_new();
    return *state ? 0 : -1;
}

static int teardown(void **state) {
    dm_digest_free(*state);
    dm_digest_free(NULL);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_meets_the_published_examples),
        cmocka_unit_test(hmac_sha1_meets_rfc_2202),
        cmocka_unit_test(hmac_sha256_meets_rfc_4231),
        cmocka_unit_test(an_empty_key_and_an_empty_text_are_hashed),
        cmocka_unit_test(an_empty_key_is_not_the_key_before),
        cmocka_unit_test(hex_is_small_and_keeps_to_the_limit),
        cmocka_unit_test(same_compares_octets_and_lengths),
        cmocka_unit_test(the_error_queue_of_libcrypto_stays_empty),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
