/*
** compat.h - the only place where Lua versions differ. Under the 5.1 ABI only
** functions that PUC 5.1 exports are called, so one module loads in lua5.1,
** luajit and nginx.
*/
#ifndef DM_LUA_COMPAT_H
#define DM_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "directmail.h"

#define DM_EXPORT __attribute__((visibility("default")))

#if LUA_VERSION_NUM == 501
#define dm_rawlen(L, i) lua_objlen(L, i)
#else
#define dm_rawlen(L, i) lua_rawlen(L, i)
#endif

static inline int dm_absindex(lua_State *L, int i) {
    return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

/* A block of userdata without user values. */
static inline void *dm_newblock(lua_State *L, size_t size) {
#if LUA_VERSION_NUM >= 504
    return lua_newuserdatauv(L, size, 0);
#else
    return lua_newuserdata(L, size);
#endif
}

static inline void dm_setfuncs(lua_State *L, const luaL_Reg *list) {
    for (; list->name; list++) {
        lua_pushcfunction(L, list->func);
        lua_setfield(L, -2, list->name);
    }
}

/* Make the metatable 'name' with 'methods' as its __index; 'close' is __gc, and __close in 5.4. */
static inline void dm_newclass(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close) {
    luaL_newmetatable(L, name);
    lua_newtable(L);
    dm_setfuncs(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
#if LUA_VERSION_NUM >= 504
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__close");
#endif
    lua_pushliteral(L, "directmail");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

/* The same for objects whose methods are called many times a mail: each method has the metatable as its first upvalue,
** and dm_self() compares by address what luaL_checkudata() looks up by name. */
static inline void dm_newfastclass(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction close) {
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    dm_newclass(L, name, nothing, close);
    luaL_getmetatable(L, name);
    lua_getfield(L, -1, "__index");
    for (; methods->name; methods++) {
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, methods->func, 1);
        lua_setfield(L, -2, methods->name);
    }
    lua_pop(L, 2);
}

/* The object that such a method is called on; raises when it is another. */
static inline void *dm_self(lua_State *L, const char *what) {
    void *p = lua_touserdata(L, 1);
    if (p && lua_getmetatable(L, 1)) {
        bool same = lua_rawequal(L, -1, lua_upvalueindex(1));
        lua_pop(L, 1);
        if (same) return p;
    }
    luaL_argerror(L, 1, what);
    return NULL;
}

static inline void dm_setclass(lua_State *L, const char *name) {
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
}

/* A strict integer: 5.1's luaL_checkinteger would cut 1.5 to 1. */
static inline lua_Integer dm_checkinteger(lua_State *L, int i) {
    lua_Number n = luaL_checknumber(L, i);
    /* 2^53: what a double counts exactly; also keeps NaN and the infinities from the cast */
    if (!(n >= -9007199254740992.0 && n <= 9007199254740992.0) || (lua_Number)(lua_Integer)n != n)
        luaL_argerror(L, i, "number has no integer representation");
    return (lua_Integer)n;
}

static inline dm_view dm_checkview(lua_State *L, int i) {
    dm_view v;
    v.p = luaL_checklstring(L, i, &v.n);
    return v;
}

static inline void dm_pushview(lua_State *L, dm_view v) { lua_pushlstring(L, v.p ? v.p : "", v.n); }

/* Values that a C object needs alive: registry references, freed when it closes
** (5.1 has no user values). */
static inline int dm_keep(lua_State *L, int i) {
    lua_pushvalue(L, i);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static inline void dm_unkeep(lua_State *L, int *ref) {
    luaL_unref(L, LUA_REGISTRYINDEX, *ref);
    *ref = LUA_NOREF;
}

#endif
