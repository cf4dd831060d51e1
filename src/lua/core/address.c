/* address.c - lists of mailboxes as Lua tables. */
#include "scratch.h"

static void push_mailbox(lua_State *L, const dm_mailbox *box) {
    static const struct { unsigned flag; const char *name; } flags[] = {
        {DM_ADDR_QUOTED, "quoted"}, {DM_ADDR_LITERAL, "literal"}, {DM_ADDR_SINGLE, "single"},
        {DM_ADDR_COMMA, "comma"}, {DM_ADDR_SEMICOLON, "semicolon"},
    };
    lua_createtable(L, 0, 3);
    dm_pushview(L, box->name);
    lua_setfield(L, -2, "name");
    dm_pushview(L, box->address);
    lua_setfield(L, -2, "address");
    lua_pushinteger(L, (lua_Integer)box->local);
    lua_setfield(L, -2, "local_length");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!(box->flags & flags[i].flag)) continue;
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, flags[i].name);
    }
}

/***
Read a list of mailboxes (RFC 5322 section 3.4): `Ann <ann@x.example>, b@x.example`, groups too.
@function addresses
@tparam string text one header's worth, unfolded
@treturn table|nil a list, empty when nothing stands there, of
  `{ name=, address=, local_length=, quoted=, literal=, single=, comma=, semicolon= }`: `name` is decoded and may be
  empty, `address` is as it goes on the wire, `local_length` counts the octets before its `@`; the flags are true or absent:
  quoted local part, IP address as domain, domain of one label, a comma in the local part, a `;` behind it where a `,` belongs
@treturn string what is wrong with the first address that cannot be used
*/
static int addresses(lua_State *L) {
    dm_view list = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    dm_mailbox box;
    dm_error err;
    dm_code code;
    lua_createtable(L, 1, 0);
    for (int n = 1; (code = dm_addr_next(&list, &s->buf, &box, &err)) == DM_OK; n++) {
        push_mailbox(L, &box);
        lua_rawseti(L, -2, n);
    }
    dm_scratch_done(s);
    if (code == DM_END) return 1;
    if (code == DM_E_MEMORY) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushstring(L, err.detail);
    return 2;
}

void dm_open_address(lua_State *L) {
    static const luaL_Reg functions[] = {{"addresses", addresses}, {NULL, NULL}};
    dm_scratch_funcs(L, functions);
}
