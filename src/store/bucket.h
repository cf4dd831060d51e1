/* bucket.h - rates that the processes of one machine share. */
#ifndef DM_STORE_BUCKET_H
#define DM_STORE_BUCKET_H

#include "db.h"

/* Take up to 'n' tokens out of the bucket 'name', which holds 'burst' at most and gets 'rate' a second: 'granted' of them, whole
** ones. 'wait_ms' is 0 when all were granted, else the time until there is one more. rate > 0, burst >= 1. */
dm_db_code dm_bucket_take(dm_db *db, int64_t now, dm_view name, int64_t n, double rate, double burst, int64_t *granted, int64_t *wait_ms);
/* Forget up to 'n' buckets that are full again: a new one is the same. */
dm_db_code dm_bucket_reap(dm_db *db, int64_t now, size_t n);

#endif
