/*
** store.c - luaopen of directmail.store: one SQLite file as a userdata, and what a Redis client needs.
** lua/directmail/store/sqlite.lua begins and commits around every call made here, and knows the time.
*/
#include "store.h"

#include <string.h>

DM_EXPORT int luaopen_directmail_store(lua_State *L);

dm_db *dm_checkdb(lua_State *L) {
    dm_db *db = *(dm_db **)luaL_checkudata(L, 1, DM_STORE);
    if (!db) luaL_error(L, "the store is closed");
    return db;
}

int dm_pushfailure(lua_State *L, const dm_db_error *why) {
    static const char *const words[] = {
#define DM_X(name, word) word,
        DM_DB_CODES(DM_X)
#undef DM_X
    };
    lua_pushnil(L);
    lua_pushstring(L, words[why->code]);
    lua_pushstring(L, why->words);
    return 3;
}

int dm_pushverdict(lua_State *L, const dm_db *db, dm_db_code code) {
    if (code != DM_DB_OK && code != DM_DB_NO) return dm_pushfailure(L, &db->error);
    lua_pushboolean(L, code == DM_DB_OK);
    return 1;
}

/*** Open a file, or make it.
@function open
@tparam string path
@return the open file; or nil, kind, words
*/
static int l_open(lua_State *L) {
    dm_db_error why;
    size_t n;
    const char *path = luaL_checklstring(L, 1, &n);
    luaL_argcheck(L, strlen(path) == n && n > 0, 1, "path without NUL expected");
    dm_db **box = dm_newblock(L, sizeof *box);
    *box = NULL;
    dm_setclass(L, DM_STORE);
    *box = dm_db_open(path, &why);
    return *box ? 1 : dm_pushfailure(L, &why);
}

/*** Begin a transaction; what an earlier one left open is given up.
@function begin
@treturn boolean true; or nil, kind, words
*/
static int l_begin(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_db_begin(db));
}

/*** Put everything since `begin` on the disk; when one call failed, nothing of it.
@function commit
@treturn boolean true; or nil, kind, words of the first failure
*/
static int l_commit(lua_State *L) {
    dm_db *db = dm_checkdb(L);
    return dm_pushverdict(L, db, dm_db_commit(db));
}

static int l_close(lua_State *L) {
    dm_db **box = luaL_checkudata(L, 1, DM_STORE);
    dm_db_close(*box);
    *box = NULL;
    return 0;
}

int luaopen_directmail_store(lua_State *L) {
    static const luaL_Reg methods[] = {{"begin", l_begin}, {"commit", l_commit}, {"close", l_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
    dm_newclass(L, DM_STORE, methods, l_close);
    luaL_getmetatable(L, DM_STORE);
    lua_getfield(L, -1, "__index");
#define DM_X(noun) dm_open_##noun(L);
    DM_STORE_NOUNS(DM_X)
#undef DM_X
    lua_pop(L, 2);
    lua_newtable(L);
    dm_setfuncs(L, functions);
    dm_open_resp(L);
    dm_open_seen(L);
    return 1;
}
