/* listen.c - the listening socket: bound to an address in numbers, accepting without blocking. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

bool dm_listen_open(dm_watch *w, dm_loop *l, const char *address, int port, int *bound, dm_why *why) {
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    socklen_t size;
    *w = (dm_watch){.fd = -1};
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        size = sizeof *v4;
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        size = sizeof *v6;
    } else {
        dm_why_set(why, "not an IP address to listen on; give 127.0.0.1 or ::1");
        return false;
    }
    int yes = 1, fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        dm_why_errno(why, errno);
        return false;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (a.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    char ip[DM_IP_TEXT];
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, SOMAXCONN) != 0 || getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        dm_why_errno(why, errno);
        close(fd);
        return false;
    }
    dm_address_text(&a, ip, bound);
    int error = dm_watch_open(w, l, fd);
    if (error != 0) {
        dm_why_errno(why, error);
        return false;
    }
    return true;
}

dm_io dm_listen_accept(dm_watch *w, int *fd, bool *scarce, dm_why *why) {
    *scarce = false;
    if (!w->loop) {
        dm_why_set(why, "closed");
        return DM_IO_FAIL;
    }
    while (w->readable) {
        *fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (*fd >= 0) return DM_IO_DONE;
        switch (errno) {
        case EAGAIN: w->readable = false; break;
        /* the connection died in the queue; Linux hands its network errors to accept(2) */
        case EINTR: case ECONNABORTED: case EPROTO: case ENETDOWN: case EHOSTDOWN: case EHOSTUNREACH: case ENETUNREACH: break;
        case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM: *scarce = true;    /* fall through */
        default: dm_why_errno(why, errno); return DM_IO_FAIL;
        }
    }
    return DM_IO_WANT_READ;
}
