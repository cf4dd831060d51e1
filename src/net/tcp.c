/* tcp.c - octets through a socket without blocking and without SIGPIPE. */
#include "tcp.h"

#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void dm_why_set(dm_why *why, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
}

void dm_why_errno(dm_why *why, int error) {
    char words[128];
    switch (error) {
    case ECONNRESET: case EPIPE: case ENOTCONN: case ECONNABORTED: case EBADF: dm_why_set(why, "closed"); return;
    case ECONNREFUSED: dm_why_set(why, "connection refused"); return;
    default: dm_why_set(why, "%s", strerror_r(error, words, sizeof words));
    }
}

int dm_socket_open(dm_socket *s, dm_loop *l, int fd) {
    int yes = 1;
    s->tls = NULL;
    /* one write per group, and Nagle's wait for the peer's ACK (40 ms) is never worth it */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    int error = dm_watch_open(&s->watch, l, fd);
    if (error == 0) s->watch.writable = true;       /* a fresh connection has room; reading waits for its edge */
    return error;
}

void dm_socket_close(dm_socket *s) {
    dm_tls_free(s->tls);
    s->tls = NULL;
    dm_watch_close(&s->watch);
}

ssize_t dm_watch_recv(dm_watch *w, void *to, size_t max) {
    if (!w->readable) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t n;
    do n = recv(w->fd, to, max, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) w->readable = false;
    /* A short read emptied the socket and the next octet brings an edge; but after
    ** the peer's FIN none comes any more, so read on until the end shows. */
    else if (n > 0 && (size_t)n < max && !w->hup) w->readable = false;
    return n;
}

ssize_t dm_watch_send(dm_watch *w, const void *from, size_t size) {
    if (!w->writable) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t n;
    do n = send(w->fd, from, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) w->writable = false;
    return n;
}

dm_io dm_socket_recv(dm_socket *s, void *to, size_t max, size_t *n, dm_why *why) {
    if (s->tls) return dm_tls_recv(s->tls, to, max, n, why);
    ssize_t got = dm_watch_recv(&s->watch, to, max);
    if (got > 0) {
        *n = (size_t)got;
        return DM_IO_DONE;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return DM_IO_WANT_READ;
    dm_why_errno(why, got == 0 ? ECONNRESET : errno);
    return DM_IO_FAIL;
}

dm_io dm_socket_send(dm_socket *s, const void *from, size_t size, size_t *n, dm_why *why) {
    if (s->tls) return dm_tls_send(s->tls, from, size, n, why);
    size_t sent = 0;
    while (sent < size) {           /* a short write is tried again: only EAGAIN promises an edge */
        ssize_t got = dm_watch_send(&s->watch, (const char *)from + sent, size - sent);
        if (got >= 0) {
            sent += (size_t)got;
        } else if (sent > 0) {
            break;                  /* the failure comes again with the next call */
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return DM_IO_WANT_WRITE;
        } else {
            dm_why_errno(why, errno);
            return DM_IO_FAIL;
        }
    }
    *n = sent;
    return DM_IO_DONE;
}

bool dm_socket_idle(dm_socket *s) {
    char octet;
    if (s->tls) return dm_tls_idle(s->tls);
    return recv(s->watch.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool dm_address_text(const struct sockaddr_storage *a, char ip[DM_IP_TEXT], int *port) {
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        *port = ntohs(v4->sin_port);
        return inet_ntop(AF_INET, &v4->sin_addr, ip, DM_IP_TEXT) != NULL;
    }
    if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
        *port = ntohs(v6->sin6_port);
        return inet_ntop(AF_INET6, &v6->sin6_addr, ip, DM_IP_TEXT) != NULL;
    }
    return false;
}
