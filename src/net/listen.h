/* listen.h - a listening socket and what it accepts. */
#ifndef DM_NET_LISTEN_H
#define DM_NET_LISTEN_H

#include "tcp.h"

/* Listen on an IPv4 or IPv6 address and port (0: a free one, told in *bound). */
bool dm_listen_open(dm_watch *w, dm_loop *l, const char *address, int port, int *bound, dm_why *why);
/* DM_IO_DONE: *fd is a connection, non-blocking and yours. DM_IO_WANT_READ: none waits.
** DM_IO_FAIL: "closed", or the system's words; *scarce: it lacks descriptors or memory, try again later. */
dm_io dm_listen_accept(dm_watch *w, int *fd, bool *scarce, dm_why *why);

#endif
