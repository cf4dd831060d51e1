/* system.c - clocks, random octets and the machine's name. */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "random.h"

#define RANDOM "directmail.random"

/*** UTC in seconds since 1970, with fraction.
@function now
*/
static int now(lua_State *L) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
    return 1;
}

/*** Seconds that only ever grow.
@function tick
*/
static int tick(lua_State *L) {
    lua_pushnumber(L, dm_tick());
    return 1;
}

/*** Random octets from the kernel, fit for keys.
@function random
@tparam integer n up to 65536
@treturn string
*/
static int random_octets(lua_State *L) {
    lua_Integer n = dm_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= DM_SCRATCH, 1, "number from 0 to 65536 expected");
    dm_random *pool = *(dm_random **)lua_touserdata(L, lua_upvalueindex(1));
    char *to = dm_loop_scratch(dm_checkloop(L));
    if (!to || !pool) return luaL_error(L, "out of memory");
    if (!dm_random_get(pool, to, (size_t)n)) return luaL_error(L, "no random octets: %s", strerror(errno));
    lua_pushlstring(L, to, (size_t)n);
    explicit_bzero(to, (size_t)n);
    return 1;
}

/*** The machine's own name, as the kernel has it.
@function hostname
@treturn ?string
*/
static int hostname(lua_State *L) {
    char name[256];
    if (gethostname(name, sizeof name) != 0) return 0;
    name[sizeof name - 1] = '\0';
    lua_pushstring(L, name);
    return 1;
}

static int pool_close(lua_State *L) {
    dm_random **pool = luaL_checkudata(L, 1, RANDOM);
    dm_random_free(*pool);
    *pool = NULL;
    return 0;
}

void dm_open_system(lua_State *L) {
    static const luaL_Reg functions[] = {{"now", now}, {"tick", tick}, {"hostname", hostname}, {NULL, NULL}};
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    dm_setfuncs(L, functions);
    dm_newclass(L, RANDOM, nothing, pool_close);
    dm_random **pool = dm_newblock(L, sizeof *pool);
    *pool = NULL;
    dm_setclass(L, RANDOM);
    *pool = dm_random_new();
    lua_pushcclosure(L, random_octets, 1);
    lua_setfield(L, -2, "random");
}
