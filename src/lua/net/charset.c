/* charset.c - text of another charset as UTF-8, as an object. */
#include "net.h"

#include "charset.h"

#define CHARSET "directmail.charset"

/*** Read text of another charset.
@function charset
@tparam string name as iconv knows it: "GB18030"
@return a converter; or nil, why
*/
static int charset(lua_State *L) {
    const char *name = dm_checktext(L, 1);
    dm_why why;
    dm_charset **box = dm_newblock(L, sizeof *box);
    *box = NULL;
    dm_setclass(L, CHARSET);
    *box = dm_charset_open(name, &why);
    return *box ? 1 : dm_pushwhy(L, &why);
}

/*** The UTF-8 of the next octets; a character that they end inside of comes with the next call.
@function charset:feed
@tparam string bytes
@tparam[opt] boolean last nothing follows
@treturn string or nil, why
*/
static int charset_feed(lua_State *L) {
    dm_charset **box = luaL_checkudata(L, 1, CHARSET);
    dm_view from = dm_checkview(L, 2);
    const char *to;
    size_t n;
    dm_why why;
    if (!*box) return luaL_error(L, "this converter is closed");
    if (!dm_charset_feed(*box, from.p, from.n, lua_toboolean(L, 3), &to, &n, &why)) return dm_pushwhy(L, &why);
    lua_pushlstring(L, to ? to : "", n);
    return 1;
}

static int charset_close(lua_State *L) {
    dm_charset **box = luaL_checkudata(L, 1, CHARSET);
    dm_charset_close(*box);
    *box = NULL;
    return 0;
}

void dm_open_charset(lua_State *L) {
    static const luaL_Reg methods[] = {{"feed", charset_feed}, {"close", charset_close}, {NULL, NULL}};
    dm_newclass(L, CHARSET, methods, charset_close);
    lua_pushcfunction(L, charset);
    lua_setfield(L, -2, "charset");
}
