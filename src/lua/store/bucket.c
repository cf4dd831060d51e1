/* bucket.c - the verbs for shared rates. */
#include "store.h"

#include "bucket.h"

/*** Take tokens.
@function take
@tparam number now
@tparam string bucket
@tparam number n
@tparam number rate tokens a second
@tparam number burst tokens that a full bucket holds
@treturn number granted 0 to n
@treturn number milliseconds until there is one more; or nil, kind, words
*/
static int l_take(lua_State *L) {
    int64_t granted, wait_ms;
    dm_db *db = dm_checkdb(L);
    lua_Integer n = dm_checkinteger(L, 4);
    lua_Number rate = luaL_checknumber(L, 5), burst = luaL_checknumber(L, 6);
    luaL_argcheck(L, n >= 1, 4, "number from 1 on expected");
    luaL_argcheck(L, rate > 0 && rate <= 1e9, 5, "number above 0 expected");
    luaL_argcheck(L, burst >= 1 && burst <= 1e9, 6, "number from 1 on expected");
    if (dm_bucket_take(db, dm_checkinteger(L, 2), dm_checkview(L, 3), n, rate, burst, &granted, &wait_ms) != DM_DB_OK)
        return dm_pushfailure(L, &db->error);
    lua_pushinteger(L, (lua_Integer)granted);
    lua_pushinteger(L, (lua_Integer)wait_ms);
    return 2;
}

/*** Forget buckets that are full again.
@function forget_buckets
@tparam number now
@tparam number n at most
@treturn boolean true; or nil, kind, words
*/
static int l_forget(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    lua_Integer n = dm_checkinteger(L, 3);
    luaL_argcheck(L, n >= 1, 3, "number from 1 on expected");
    return dm_pushverdict(L, db, dm_bucket_reap(db, dm_checkinteger(L, 2), (size_t)n));
}

void dm_open_bucket(lua_State *L) {
    static const luaL_Reg methods[] = {{"take", l_take}, {"forget_buckets", l_forget}, {NULL, NULL}};
    dm_setfuncs(L, methods);
}
