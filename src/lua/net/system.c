/* system.c - clocks, random octets and the machine's name. */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

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
    char *to = dm_loop_scratch(dm_checkloop(L));
    if (!to) return luaL_error(L, "out of memory");
    for (size_t got = 0; got < (size_t)n;) {
        ssize_t more = getrandom(to + got, (size_t)n - got, 0);
        if (more < 0 && errno != EINTR) return luaL_error(L, "no random octets: %s", strerror(errno));
        if (more > 0) got += (size_t)more;
    }
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

void dm_open_system(lua_State *L) {
    static const luaL_Reg functions[] = {{"now", now}, {"tick", tick}, {"random", random_octets}, {"hostname", hostname}, {NULL, NULL}};
    dm_setfuncs(L, functions);
}
