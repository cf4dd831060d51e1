/* tls.h - TLS over a watched socket, always verified on the client's side. */
#ifndef DM_NET_TLS_H
#define DM_NET_TLS_H

#include <openssl/ssl.h>

#include "loop.h"
#include "tcp.h"

typedef struct dm_tls_conn dm_tls_conn;

/* The client contexts of a loop, one per CA file, and the sessions of servers that were met, kept in dm_loop_tls(). */
typedef struct dm_tls_store dm_tls_store;
void dm_tls_store_free(dm_tls_store *s);

/* Begin TLS on a connected socket. As client: 'name' is the host name or IP
** literal that the certificate must be for, 'ca' a PEM file that replaces the
** system's store, or NULL. A session with the same name, port and CA is resumed if
** there is one; port 0: none is, and none is remembered. As server: the identity's
** context. Then dm_tls_handshake(). */
bool dm_tls_client(dm_socket *s, const char *name, int port, const char *ca, dm_why *why);
bool dm_tls_server(dm_socket *s, SSL_CTX *identity, dm_why *why);
dm_io dm_tls_handshake(dm_tls_conn *t, dm_why *why);
void dm_tls_free(dm_tls_conn *t);                /* says close_notify if the connection is in order; NULL is fine */

dm_io dm_tls_recv(dm_tls_conn *t, void *to, size_t max, size_t *n, dm_why *why);
dm_io dm_tls_send(dm_tls_conn *t, const void *from, size_t size, size_t *n, dm_why *why);
bool dm_tls_idle(dm_tls_conn *t);

enum { DM_TLS_NAMES = 200 };

/* A resumed session shows no certificate, so one comes at least once in an hour. */
enum { DM_TLS_SESSION_SECONDS = 3600 };

/* Can this CA file be used (NULL: the system's store)? */
bool dm_tls_ca(dm_loop *l, const char *ca, dm_why *why);
/* How often a CA file was found changed: sessions of before vouch for nothing then. */
unsigned dm_tls_changes(dm_loop *l);
/* Put the demands of dm_tls_client() on a context in which somebody else (libcurl) shakes hands:
** the name, no renegotiation, and with 'system' the system's store; a CA file is theirs to load.
** 'names', DM_TLS_NAMES octets that live as long as the handshake, gets whom a refused certificate is for. */
bool dm_tls_demand(SSL_CTX *theirs, dm_loop *l, const char *name, bool system, char *names);
/* The words for a verify code of OpenSSL. */
void dm_tls_refusal(long code, const char *names, dm_why *why);

typedef struct dm_tls_info {
    const char *version, *cipher;           /* OpenSSL's, constant */
    char subject[128];                      /* the peer's common name, else its first name; may be empty */
    char expires[16];                       /* "2027-03-01"; may be empty */
    bool resumed;                           /* an earlier session goes on: its certificate was not sent again */
} dm_tls_info;
bool dm_tls_describe(const dm_tls_conn *t, dm_tls_info *out);    /* false: no handshake yet */

/* A server's context of a PEM certificate (its chain behind it) and PEM key; NULL with why. */
SSL_CTX *dm_tls_identity(const char *cert, size_t cert_size, const char *key, size_t key_size, dm_why *why);

#endif
