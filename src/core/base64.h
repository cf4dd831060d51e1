/* base64.h - the ways in which base64.c can encode, for its own test and its bench. */
#ifndef DM_CORE_BASE64_H
#define DM_CORE_BASE64_H

#include "buf.h"

typedef enum dm_base64_way { DM_BASE64_PORTABLE, DM_BASE64_AVX2 } dm_base64_way;

/* Can this machine go that way? The portable one always can. */
bool dm_base64_can(dm_base64_way way);

/* dm_base64() and dm_base64_put() in a given way, which must be possible here. */
dm_code dm_base64_by(dm_base64_way way, dm_buf *out, dm_view in);
dm_code dm_base64_put_by(dm_base64_way way, dm_buf *out, dm_base64_lines *s, dm_view in);

#endif
