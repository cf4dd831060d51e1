/* charset.c - text of another charset as UTF-8, piece by piece. */
#include "charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 16, GROWTH = 4 };     /* octets of a character that is not whole yet; UTF-8 octets that one octet makes, at most */

struct dm_charset {
    iconv_t state;
    char left[LEFT];
    size_t waiting;
    char *out;
    size_t room;
};

dm_charset *dm_charset_open(const char *name, dm_why *why) {
    dm_charset *c = calloc(1, sizeof *c);
    if (!c) {
        dm_why_set(why, "out of memory");
        return NULL;
    }
    c->state = iconv_open("UTF-8", name);
    if (c->state != (iconv_t)-1) return c;
    free(c);
    dm_why_set(why, "this system cannot read %s", name);
    return NULL;
}

void dm_charset_close(dm_charset *c) {
    if (!c) return;
    iconv_close(c->state);
    free(c->out);
    free(c);
}

/* Convert what is there from '*at' on; false: octets that stand for nothing. What is not whole stays. */
static bool convert(dm_charset *c, char **at, size_t *size, size_t *used) {
    char *to = c->out + *used;
    size_t room = c->room - *used;
    size_t rc = iconv(c->state, at, size, &to, &room);
    *used = c->room - room;
    return rc != (size_t)-1 || errno == EINVAL;
}

bool dm_charset_feed(dm_charset *c, const char *from, size_t size, bool end, const char **to, size_t *n, dm_why *why) {
    size_t all = c->waiting + size, used = 0, need = all * GROWTH + GROWTH;
    if (need > c->room) {
        char *out = realloc(c->out, need);
        if (!out) {
            dm_why_set(why, "out of memory");
            return false;
        }
        c->out = out;
        c->room = need;
    }
    char *joined = malloc(all + 1), *at = joined;
    if (!joined) {
        dm_why_set(why, "out of memory");
        return false;
    }
    memcpy(joined, c->left, c->waiting);
    if (size) memcpy(joined + c->waiting, from, size);
    bool good = convert(c, &at, &all, &used) && all <= LEFT && !(end && all > 0);
    if (good) {
        memcpy(c->left, at, all);
        c->waiting = all;
    } else {
        dm_why_set(why, "octets that stand for no character");
    }
    free(joined);
    *to = c->out;
    *n = used;
    return good;
}
