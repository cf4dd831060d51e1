/* core.c - luaopen of directmail.core: version, error codes, and every noun. */
#include "core.h"

void dm_pusherror(lua_State *L, const dm_error *err) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, dm_code_name(err->code));
    lua_setfield(L, -2, "code");
    if (err->field[0]) {
        lua_pushstring(L, err->field);
        lua_setfield(L, -2, "field");
    }
    lua_pushstring(L, err->detail);
    lua_setfield(L, -2, "detail");
}

DM_EXPORT int luaopen_directmail_core(lua_State *L);

int luaopen_directmail_core(lua_State *L) {
    lua_newtable(L);
    lua_pushliteral(L, DM_VERSION);
    lua_setfield(L, -2, "version");
    lua_newtable(L);            /* codes: name -> sentence */
    for (int code = DM_E_OPTION; code < DM_CODES; code++) {
        lua_pushstring(L, dm_code_text((dm_code)code));
        lua_setfield(L, -2, dm_code_name((dm_code)code));
    }
    lua_setfield(L, -2, "codes");
#define DM_X(noun) dm_open_##noun(L);
    DM_NOUNS(DM_X)
#undef DM_X
    return 1;
}
