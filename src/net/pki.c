/* pki.c - certificates of a throw-away authority, as RFC 5280 wants them. */
#include "pki.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { DAY = 24 * 3600, AUTHORITY_DAYS = 3650, SERVER_DAYS = 365, SERIAL_BITS = 127, NAME_LENGTH = 253, COMMON_NAME = 64 };

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return good;
}

/* A certificate without extensions; 'issuer' NULL: its own. */
static X509 *blank(EVP_PKEY *key, X509 *issuer, const char *common_name, long from, long to) {
    X509 *x = X509_new();
    BIGNUM *serial = BN_new();
    X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
    bool good = x && serial && X509_set_version(x, X509_VERSION_3) && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY)
        && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) && X509_gmtime_adj(X509_getm_notBefore(x), from) && X509_gmtime_adj(X509_getm_notAfter(x), to)
        && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0)
        && X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) && X509_set_pubkey(x, key);
    BN_free(serial);
    if (good) return x;
    X509_free(x);
    return NULL;
}

static bool failed(dm_why *why) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    dm_why_set(why, "no certificate: %s", reason ? reason : "out of memory");
    ERR_clear_error();
    return false;
}

bool dm_authority_new(dm_authority *a, dm_why *why) {
    ERR_clear_error();
    *a = (dm_authority){.key = EVP_EC_gen("P-256")};
    a->cert = a->key ? blank(a->key, NULL, "directmail throw-away authority", -DAY, (long)AUTHORITY_DAYS * DAY) : NULL;
    X509 *x = a->cert;
    if (x && add_extension(x, x, NID_subject_key_identifier, "hash") && add_extension(x, x, NID_authority_key_identifier, "keyid:always")
        && add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE") && add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign")
        && X509_sign(x, a->key, EVP_sha256()))
        return true;
    dm_authority_free(a);
    return failed(why);
}

void dm_authority_free(dm_authority *a) {
    EVP_PKEY_free(a->key);
    X509_free(a->cert);
    *a = (dm_authority){0};
}

/* One name of subjectAltName; built by hand, since a comma in a textual one would smuggle in a second. */
static GENERAL_NAME *alternative(const char *name) {
    unsigned char ip[16];
    int octets = inet_pton(AF_INET, name, ip) == 1 ? 4 : inet_pton(AF_INET6, name, ip) == 1 ? 16 : 0;
    ASN1_STRING *value = ASN1_STRING_type_new(octets ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    GENERAL_NAME *general = GENERAL_NAME_new();
    if (!value || !general || !ASN1_STRING_set(value, octets ? (void *)ip : (const void *)name, octets ? octets : -1)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(general);
        return NULL;
    }
    GENERAL_NAME_set0_value(general, octets ? GEN_IPADD : GEN_DNS, value);
    return general;
}

static bool add_names(X509 *x, const char *const *names, size_t count) {
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool good = all != NULL;
    for (size_t i = 0; good && i < count; i++) {
        GENERAL_NAME *one = alternative(names[i]);
        good = one && sk_GENERAL_NAME_push(all, one) > 0;
        if (!good) GENERAL_NAME_free(one);
    }
    good = good && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return good;
}

bool dm_authority_issue(const dm_authority *a, const char *const *names, size_t count, bool expired, X509 **cert, EVP_PKEY **key, dm_why *why) {
    *cert = NULL;
    *key = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned char ip[16];
        size_t n = strlen(names[i]);
        if (inet_pton(AF_INET6, names[i], ip) == 1) continue;
        if (n == 0 || n > NAME_LENGTH || names[i][strspn(names[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*")]) {
            dm_why_set(why, "name %zu is neither a host name nor an IP address", i + 1);
            return false;
        }
    }
    if (count == 0) {
        dm_why_set(why, "a certificate needs a name");
        return false;
    }
    ERR_clear_error();
    const char *common_name = strlen(names[0]) <= COMMON_NAME ? names[0] : "directmail";
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = k ? blank(k, a->cert, common_name, expired ? -30L * DAY : -DAY, expired ? -DAY : (long)SERVER_DAYS * DAY) : NULL;
    if (x && add_names(x, names, count) && add_extension(x, a->cert, NID_subject_key_identifier, "hash")
        && add_extension(x, a->cert, NID_authority_key_identifier, "keyid:always") && add_extension(x, a->cert, NID_basic_constraints, "critical,CA:FALSE")
        && add_extension(x, a->cert, NID_key_usage, "critical,digitalSignature") && add_extension(x, a->cert, NID_ext_key_usage, "serverAuth")
        && X509_sign(x, a->key, EVP_sha256())) {
        *cert = x;
        *key = k;
        return true;
    }
    X509_free(x);
    EVP_PKEY_free(k);
    return failed(why);
}
