/* seen.c - what one reading of a long list has come across, as an object. */
#include "store.h"

#include "seen.h"

#define SEEN "directmail.seen"

static dm_seen *check(lua_State *L) {
    dm_seen *s = *(dm_seen **)luaL_checkudata(L, 1, SEEN);
    if (!s) luaL_error(L, "it is closed");
    return s;
}

/*** A register of addresses and notes that ends with the object; it lies on the disk.
@function seen
@return the register; or nil, kind, words
*/
static int seen(lua_State *L) {
    dm_db_error why;
    dm_seen **box = dm_newblock(L, sizeof *box);
    *box = NULL;
    dm_setclass(L, SEEN);
    *box = dm_seen_open(&why);
    return *box ? 1 : dm_pushfailure(L, &why);
}

/*** Where did this stand first?
@function seen:row
@tparam string key
@tparam number row where it stands now
@treturn number that row when it is new, else the earlier one; or nil, kind, words
*/
static int seen_row(lua_State *L) {
    dm_seen *s = check(L);
    int64_t row = dm_checkinteger(L, 3);
    dm_db_code code = dm_seen_row(s, dm_checkview(L, 2), &row);
    if (code != DM_DB_OK && code != DM_DB_ROW) return dm_pushfailure(L, dm_seen_error(s));
    lua_pushinteger(L, (lua_Integer)row);
    return 1;
}

/*** Note a text about a name.
@function seen:note
@tparam string name
@tparam string text
@treturn boolean true; or nil, kind, words
*/
static int seen_note(lua_State *L) {
    dm_seen *s = check(L);
    if (dm_seen_note(s, dm_checkview(L, 2), dm_checkview(L, 3)) != DM_DB_OK) return dm_pushfailure(L, dm_seen_error(s));
    lua_pushboolean(L, 1);
    return 1;
}

/*** The text that was noted about a name.
@function seen:read
@tparam string name
@treturn string false when there is none; or nil, kind, words
*/
static int seen_read(lua_State *L) {
    dm_seen *s = check(L);
    dm_view text;
    dm_db_code code = dm_seen_read(s, dm_checkview(L, 2), &text);
    if (code == DM_DB_ROW) dm_pushview(L, text);
    else if (code == DM_DB_NO) lua_pushboolean(L, 0);
    else return dm_pushfailure(L, dm_seen_error(s));
    return 1;
}

static int seen_close(lua_State *L) {
    dm_seen **box = luaL_checkudata(L, 1, SEEN);
    dm_seen_close(*box);
    *box = NULL;
    return 0;
}

void dm_open_seen(lua_State *L) {
    static const luaL_Reg methods[] = {{"row", seen_row}, {"note", seen_note}, {"read", seen_read}, {"close", seen_close}, {NULL, NULL}};
    dm_newclass(L, SEEN, methods, seen_close);
    lua_pushcfunction(L, seen);
    lua_setfield(L, -2, "seen");
}
