/* suppress.c - the verbs for the suppression list. */
#include "store.h"

#include "suppress.h"

/*** Send nothing to an address any more.
@function suppress
@tparam string address in the form in which it is looked for
@tparam string reason
@tparam string source
@tparam number at seconds since 1970
@treturn boolean true; or nil, kind, words
*/
static int l_suppress(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_suppress(db, dm_checkview(L, 2), dm_checkview(L, 3), dm_checkview(L, 4), dm_checkinteger(L, 5)));
}

/*** The address's owner wants mail again.
@function resubscribe
@tparam string address
@tparam string source
@tparam number at seconds since 1970
@treturn boolean true; or nil, kind, words
*/
static int l_resubscribe(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_resubscribe(db, dm_checkview(L, 2), dm_checkview(L, 3), dm_checkinteger(L, 4)));
}

/*** Why nothing may be sent to an address.
@function suppressed
@tparam string address
@treturn table `{ reason=, source=, at= }`, or false; or nil, kind, words
*/
static int l_suppressed(lua_State *L) {
    dm_suppression found;
    dm_db *db = dm_checkdb(L);
    dm_db_code code = dm_suppressed(db, dm_checkview(L, 2), &found);
    if (code != DM_DB_OK) return dm_pushverdict(L, db, code);
    lua_createtable(L, 0, 3);
    dm_pushview(L, found.reason);
    lua_setfield(L, -2, "reason");
    dm_pushview(L, found.source);
    lua_setfield(L, -2, "source");
    dm_setnumber(L, "at", found.at);
    return 1;
}

/*** Everything that is suppressed, by address.
@function suppressions
@tparam string after the last address of the call before, "" for the first
@tparam number n at most so many, 1 to 1000
@treturn table list of `{ address=, reason=, source=, at= }`; or nil, kind, words
*/
static int l_suppressions(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    lua_Integer n = dm_checkinteger(L, 3);
    luaL_argcheck(L, n >= 1 && n <= 1000, 3, "1 to 1000 expected");
    sqlite3_stmt *s;
    dm_view address;
    dm_suppression found;
    dm_db_code code = dm_suppressions(db, dm_checkview(L, 2), (size_t)n, &s);
    lua_newtable(L);
    for (int i = 1; code == DM_DB_OK; i++) {
        code = dm_suppressions_next(db, s, &address, &found);
        if (code != DM_DB_OK) break;
        lua_createtable(L, 0, 4);
        dm_pushview(L, address);
        lua_setfield(L, -2, "address");
        dm_pushview(L, found.reason);
        lua_setfield(L, -2, "reason");
        dm_pushview(L, found.source);
        lua_setfield(L, -2, "source");
        dm_setnumber(L, "at", found.at);
        lua_rawseti(L, -2, i);
    }
    return code == DM_DB_NO ? 1 : dm_pushfailure(L, &db->error);
}

void dm_open_suppress(lua_State *L) {
    static const luaL_Reg methods[] = {{"suppress", l_suppress}, {"resubscribe", l_resubscribe}, {"suppressed", l_suppressed},
        {"suppressions", l_suppressions}, {NULL, NULL}};
    dm_setfuncs(L, methods);
}
