/* net.h - what the files of this binding share: the loop of a Lua state, and failures as nil, why. */
#ifndef DM_LUA_NET_H
#define DM_LUA_NET_H

#include "compat.h"

#include "loop.h"
#include "tcp.h"

#define DM_SOCKET "directmail.socket"
#define DM_IDENTITY "directmail.identity"

/* The nouns of directmail.net: each adds its functions to the table on top of the stack. */
#define DM_NET_NOUNS(X)     \
    X(loop)                 \
    X(socket)               \
    X(listener)             \
    X(http)                 \
    X(dns)                  \
    X(charset)              \
    X(pki)                  \
    X(process)              \
    X(terminal)             \
    X(system)

#define DM_X(noun) void dm_open_##noun(lua_State *L);
DM_NET_NOUNS(DM_X)
#undef DM_X

dm_loop *dm_checkloop(lua_State *L);        /* this state's loop; raises when the state is closing */

/* A closed socket on top of the stack; then dm_socket_open(). */
dm_socket *dm_newsocket(lua_State *L);
/* Socket of a connected descriptor, or nil, why: owns fd, also when it raises. */
int dm_pushsocket(lua_State *L, int fd);

static inline int dm_pushwhy(lua_State *L, const dm_why *why) {
    lua_pushnil(L);
    lua_pushstring(L, why->text);
    return 2;
}

/* The number of a wait, or a raised error when there was no memory for it. */
static inline int dm_pushwait(lua_State *L, unsigned wait) {
    if (wait == 0) return luaL_error(L, "out of memory");
    lua_pushinteger(L, (lua_Integer)wait);
    return 1;
}

/* Seconds of a time limit; nil and none are "no limit", -1. */
static inline double dm_optseconds(lua_State *L, int i) {
    if (lua_isnoneornil(L, i)) return -1;
    double seconds = luaL_checknumber(L, i);
    return seconds > 0 ? seconds : 0;       /* NaN too */
}

static inline int dm_checkport(lua_State *L, int i) {
    lua_Integer port = dm_checkinteger(L, i);
    if (port < 0 || port > 65535) luaL_argerror(L, i, "port from 0 to 65535 expected");
    return (int)port;
}

/* A string for C: one with a NUL inside would be cut silently. */
static inline const char *dm_checktext(lua_State *L, int i) {
    size_t n;
    const char *text = luaL_checklstring(L, i, &n);
    if (strlen(text) != n) luaL_argerror(L, i, "string without NUL expected");
    return text;
}

static inline const char *dm_opttext(lua_State *L, int i) { return lua_isnoneornil(L, i) ? NULL : dm_checktext(L, i); }

#endif
