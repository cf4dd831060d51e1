/* charset.h - text of another charset as UTF-8, piece by piece, by the system's iconv(3). */
#ifndef DM_NET_CHARSET_H
#define DM_NET_CHARSET_H

#include "tcp.h"

typedef struct dm_charset dm_charset;

dm_charset *dm_charset_open(const char *name, dm_why *why);     /* NULL: the system does not know it */
void dm_charset_close(dm_charset *c);

/* The UTF-8 of 'size' octets; a character that they end inside of waits for the next call. 'end': nothing follows, so none may.
** '*to' is ours and lives until the next call. false and 'why' for octets that stand for nothing. */
bool dm_charset_feed(dm_charset *c, const char *from, size_t size, bool end, const char **to, size_t *n, dm_why *why);

#endif
