/* pki.h - a throw-away certificate authority: its key is born here and never leaves the memory. */
#ifndef DM_NET_PKI_H
#define DM_NET_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "tcp.h"

typedef struct dm_authority {
    EVP_PKEY *key;
    X509 *cert;
} dm_authority;

bool dm_authority_new(dm_authority *a, dm_why *why);
void dm_authority_free(dm_authority *a);            /* fine twice and after {0} */

/* A server's key and certificate for DNS names and IP addresses, both EC P-256.
** 'expired': it ended yesterday. The caller frees both. */
bool dm_authority_issue(const dm_authority *a, const char *const *names, size_t count, bool expired, X509 **cert, EVP_PKEY **key, dm_why *why);

#endif
