/* store.h - what the files of this binding share: the open file of a userdata, and failures as nil, kind, words. */
#ifndef DM_LUA_STORE_H
#define DM_LUA_STORE_H

#include "compat.h"

#include "db.h"

#define DM_STORE "directmail.store"

/* The nouns of directmail.store: each adds its methods to the table on top of the stack. */
#define DM_STORE_NOUNS(X)   \
    X(outbox)               \
    X(bucket)               \
    X(suppress)

#define DM_X(noun) void dm_open_##noun(lua_State *L);
DM_STORE_NOUNS(DM_X)
#undef DM_X

void dm_open_resp(lua_State *L);            /* adds `resp` and `command` to the module on top of the stack */
void dm_open_seen(lua_State *L);            /* adds `seen` */

dm_db *dm_checkdb(lua_State *L);            /* the open file at 1; raises when it is closed */

/* nil, the kind of the failure (a word of DM_DB_CODES) and its words. */
int dm_pushfailure(lua_State *L, const dm_db_error *why);
/* What a call for one attempt ends with: true; false when the job is another's by now; or a failure. */
int dm_pushverdict(lua_State *L, const dm_db *db, dm_db_code code);

/* A string, or for nil a view without p. */
static inline dm_view dm_optview(lua_State *L, int i) {
    dm_view none = {NULL, 0};
    return lua_isnoneornil(L, i) ? none : dm_checkview(L, i);
}

static inline void dm_pushoptview(lua_State *L, dm_view v) {
    if (v.p) dm_pushview(L, v);
    else lua_pushnil(L);
}

static inline void dm_setnumber(lua_State *L, const char *name, int64_t n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

#endif
