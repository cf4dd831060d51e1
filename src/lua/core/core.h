/* core.h - the nouns of directmail.core: each opens into the table on top of the stack. */
#ifndef DM_LUA_CORE_H
#define DM_LUA_CORE_H

#include "compat.h"

/* {code=, field=, detail=} of a core error; an empty field is left out. */
void dm_pusherror(lua_State *L, const dm_error *err);

#define DM_NOUNS(X)         \
    X(message)              \
    X(smtp)                 \
    X(encode)               \
    X(head)                 \
    X(address)              \
    X(route)                \
    X(profile)              \
    X(sign)                 \
    X(verify)

#define DM_X(noun) void dm_open_##noun(lua_State *L);
DM_NOUNS(DM_X)
#undef DM_X

#endif
