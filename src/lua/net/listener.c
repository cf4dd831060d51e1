/* listener.c - listening sockets. */
#include "net.h"

#include "listen.h"

#define LISTENER "directmail.listener"

/*** Listen.
@function listen
@tparam string address IPv4 or IPv6 address in numbers
@tparam integer port 0 takes a free one
@return listener, port; or nil, why
*/
static int listener_new(lua_State *L) {
    const char *text = dm_checktext(L, 1);
    int port = dm_checkport(L, 2);
    dm_loop *l = dm_checkloop(L);
    dm_why why;
    dm_watch *w = dm_newblock(L, sizeof *w);
    memset(w, 0, sizeof *w);
    dm_setclass(L, LISTENER);
    if (!dm_listen_open(w, l, text, port, &port, &why)) return dm_pushwhy(L, &why);
    lua_pushinteger(L, port);
    return 2;
}

/*** Take a connection that waits.
@function listener:accept
@return a socket; or false when none waits; or nil, why, and true when it is worth trying again later
*/
static int listener_accept(lua_State *L) {
    dm_watch *w = luaL_checkudata(L, 1, LISTENER);
    int fd;
    bool scarce;
    dm_why why;
    switch (dm_listen_accept(w, &fd, &scarce, &why)) {
    case DM_IO_DONE: return dm_pushsocket(L, fd);
    case DM_IO_FAIL:
        dm_pushwhy(L, &why);
        lua_pushboolean(L, scarce);
        return 3;
    default: lua_pushboolean(L, 0); return 1;
    }
}

/*** Wait for a connection.
@function listener:wait
@treturn integer the number of the wait; or nil, "closed"
*/
static int listener_wait(lua_State *L) {
    dm_watch *w = luaL_checkudata(L, 1, LISTENER);
    if (!w->loop) {
        lua_pushnil(L);
        lua_pushliteral(L, "closed");
        return 2;
    }
    if (w->wait[DM_READ]) return luaL_error(L, "somebody waits for this listener already");
    return dm_pushwait(L, dm_watch_wait(w, DM_READ, DM_READ, -1));
}

/*** Stop listening; who waits is woken.
@function listener:close
*/
static int listener_close(lua_State *L) {
    dm_watch_close(luaL_checkudata(L, 1, LISTENER));
    return 0;
}

void dm_open_listener(lua_State *L) {
    static const luaL_Reg methods[] = {{"accept", listener_accept}, {"wait", listener_wait}, {"close", listener_close}, {NULL, NULL}};
    dm_newclass(L, LISTENER, methods, listener_close);
    lua_pushcfunction(L, listener_new);
    lua_setfield(L, -2, "listen");
}
