/* tcp.h - a connected socket that never blocks, in clear text or TLS. */
#ifndef DM_NET_TCP_H
#define DM_NET_TCP_H

#include <sys/socket.h>
#include <sys/types.h>

#include "loop.h"

typedef struct dm_why {
    char text[320];                 /* a failure in words: "closed", "connection refused" ... */
} dm_why;

void dm_why_set(dm_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dm_why_errno(dm_why *why, int error);      /* the system's words; "closed" for a lost connection */

typedef enum dm_io {
    DM_IO_DONE,                     /* some octets went through */
    DM_IO_WANT_READ,                /* nothing did: wait until the socket is readable */
    DM_IO_WANT_WRITE,
    DM_IO_FAIL                      /* why->text says why */
} dm_io;

struct dm_tls_conn;

typedef struct dm_socket {
    dm_watch watch;
    struct dm_tls_conn *tls;             /* NULL: clear text */
} dm_socket;

int dm_socket_open(dm_socket *s, dm_loop *l, int fd);   /* owns fd, also after a failure; 0 or errno */
void dm_socket_close(dm_socket *s);                     /* wakes who waits; fine twice and after {0} */
dm_io dm_socket_recv(dm_socket *s, void *to, size_t max, size_t *n, dm_why *why);
dm_io dm_socket_send(dm_socket *s, const void *from, size_t size, size_t *n, dm_why *why);
/* Nothing unread and not closed by the peer: fit to be kept for reuse. */
bool dm_socket_idle(dm_socket *s);

/* recv(2) and send(2) that know about edges; -1 with errno EAGAIN when it would block. Never SIGPIPE. */
ssize_t dm_watch_recv(dm_watch *w, void *to, size_t max);
ssize_t dm_watch_send(dm_watch *w, const void *from, size_t size);

enum { DM_IP_TEXT = 64 };
bool dm_address_text(const struct sockaddr_storage *a, char ip[DM_IP_TEXT], int *port);

#endif
