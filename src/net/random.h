/* random.h - random octets from the kernel, fetched many at a time: a call to the kernel costs more than a hundred octets. */
#ifndef DM_NET_RANDOM_H
#define DM_NET_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* One thread's at a time. A process that is forked never gives out what its parent has fetched. */
typedef struct dm_random dm_random;

dm_random *dm_random_new(void);                             /* NULL: no memory */
void dm_random_free(dm_random *r);
bool dm_random_get(dm_random *r, void *to, size_t n);       /* false: errno */

#endif
