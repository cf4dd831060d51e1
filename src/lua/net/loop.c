/* loop.c - the loop of a Lua state, its plain waits, and connections in the making. */
#include "net.h"

#include <errno.h>
#include <limits.h>

#include "curl.h"

#define LOOP "directmail.loop"
#define ATTEMPT "directmail.attempt"

static int loop_gc(lua_State *L) {
    dm_loop **box = luaL_checkudata(L, 1, LOOP);
    dm_loop_drop(*box);
    *box = NULL;
    return 0;
}

dm_loop *dm_checkloop(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "directmail.net.loop");
    dm_loop **box = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!box || !*box) luaL_error(L, "this Lua state is closing");
    return *box;
}

/*** Wait until something that is waited for is over.
@function turn
@tparam table out gets the numbers of the waits that are over; negative when the time limit ended it
@tparam[opt] number seconds wait no longer than this
@treturn ?integer how many, maybe 0; nil when nothing is waited for, so that nothing can ever come
*/
static int turn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    dm_loop *l = dm_checkloop(L);
    int n = dm_loop_turn(l, dm_optseconds(L, 2));
    if (n < 0) return 0;
    /* not more than were promised: a failing lua_rawseti must lose none */
    for (int i = 1; i <= n; i++) {
        lua_pushinteger(L, (lua_Integer)dm_loop_next(l));
        lua_rawseti(L, 1, i);
    }
    lua_pushinteger(L, n);
    return 1;
}

/*** A wait that time ends, or `fire`.
@function timer
@tparam[opt] number seconds without it only `fire` ends it
@treturn integer its number
*/
static int timer(lua_State *L) {
    return dm_pushwait(L, dm_loop_wait(dm_checkloop(L), dm_optseconds(L, 1)));
}

/*** End a wait of `timer` now.
@function fire
@tparam integer id its number, of a wait that is not over
*/
static int fire(lua_State *L) {
    dm_loop *l = dm_checkloop(L);
    lua_Integer id = dm_checkinteger(L, 1);
    luaL_argcheck(L, id > 0 && id <= (lua_Integer)UINT_MAX, 1, "no such wait");
    dm_loop_fire(l, (unsigned)id);
    return 0;
}

/*** Begin a TCP connection (libcurl makes it: names, happy eyeballs, proxies; a bare IP address needs none of these).
@function connect
@tparam string host name or IP literal without brackets
@tparam integer port
@tparam number seconds time limit of the whole
@tparam[opt] string proxy URL; the environment's is never used
@return an attempt and the number of its wait; or nil, why
*/
static int attempt_new(lua_State *L) {
    const char *host = dm_checktext(L, 1);
    int port = dm_checkport(L, 2);
    double seconds = luaL_checknumber(L, 3);
    const char *proxy = dm_opttext(L, 4);
    dm_loop *l = dm_checkloop(L);
    dm_why why;
    dm_connect *c = dm_newblock(L, sizeof *c);
    memset(c, 0, sizeof *c);
    c->fd = -1;
    c->over = true;
    dm_setclass(L, ATTEMPT);
    if (!dm_connect_start(c, l, host, port, seconds, proxy, &why)) return dm_pushwhy(L, &why);
    lua_pushinteger(L, (lua_Integer)c->wait);
    return 2;
}

/*** Take the connection when the attempt's wait is over.
@function attempt:finish
@return a socket; or nil, why ("timeout", "connection refused", "host not found: …", "closed", else words)
*/
static int attempt_finish(lua_State *L) {
    dm_connect *c = luaL_checkudata(L, 1, ATTEMPT);
    bool over = dm_connect_finish(c);
    int fd = c->fd;
    if (!over) return luaL_error(L, "the connection is not made yet");
    if (fd < 0) return dm_pushwhy(L, &c->why);
    c->fd = -1;
    dm_why_set(&c->why, "closed");
    return dm_pushsocket(L, fd);
}

/*** Give up; who waits is woken and finishes with "closed".
@function attempt:close
*/
static int attempt_close(lua_State *L) {
    dm_connect_close(luaL_checkudata(L, 1, ATTEMPT));
    return 0;
}

void dm_open_loop(lua_State *L) {
    static const luaL_Reg functions[] = {{"turn", turn}, {"timer", timer}, {"fire", fire}, {"connect", attempt_new}, {NULL, NULL}};
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    static const luaL_Reg methods[] = {{"finish", attempt_finish}, {"close", attempt_close}, {NULL, NULL}};
    dm_newclass(L, LOOP, nothing, loop_gc);
    dm_newclass(L, ATTEMPT, methods, attempt_close);
    dm_setfuncs(L, functions);
    lua_getfield(L, LUA_REGISTRYINDEX, "directmail.net.loop");
    if (lua_isnil(L, -1)) {         /* a module that is loaded again shares the loop of its state */
        dm_loop **box = dm_newblock(L, sizeof *box);
        *box = NULL;
        dm_setclass(L, LOOP);
        *box = dm_loop_new();
        if (!*box) luaL_error(L, "no event loop: %s", strerror(errno));
        lua_setfield(L, LUA_REGISTRYINDEX, "directmail.net.loop");
    }
    lua_pop(L, 1);
}
