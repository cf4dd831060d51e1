/* process.c - child processes, signals, folders and the umask: for the command. */
#include "net.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

#define CHILD "directmail.child"
#define SIGNALS "directmail.signals"

enum { ARGUMENTS = 4096 };

extern char **environ;

static int fail_errno(lua_State *L, int error) {
    dm_why why;
    dm_why_errno(&why, error);
    return dm_pushwhy(L, &why);
}

/* The strings of a list as a NULL-ended array, in a userdata on top of the stack. */
static char **check_list(lua_State *L, int arg, size_t least) {
    luaL_checktype(L, arg, LUA_TTABLE);
    size_t n = dm_rawlen(L, arg);
    luaL_argcheck(L, n >= least && n <= ARGUMENTS, arg, "list of strings expected");
    char **list = dm_newblock(L, sizeof *list * (n + 1));
    for (size_t i = 0; i < n; i++) {
        size_t size;
        lua_rawgeti(L, arg, (int)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, arg, "list of strings expected");
        list[i] = (char *)lua_tolstring(L, -1, &size);      /* stays in the list, which is on the stack */
        luaL_argcheck(L, strlen(list[i]) == size, arg, "strings without NUL expected");
        lua_pop(L, 1);
    }
    list[n] = NULL;
    return list;
}

/* "NAME=value" of this process except those that the table at 'arg' sets, then those: a list on top of the stack. */
static void push_environment(lua_State *L, int arg) {
    int n = 0;
    lua_newtable(L);
    for (char **e = environ; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals) continue;
        lua_pushlstring(L, *e, (size_t)(equals - *e));
        lua_rawget(L, arg);
        bool replaced = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (replaced) continue;
        lua_pushstring(L, *e);
        lua_rawseti(L, -2, ++n);
    }
    for (lua_pushnil(L); lua_next(L, arg);) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, arg, "table of strings by name expected");
        luaL_argcheck(L, !strchr(lua_tostring(L, -2), '=') && *lua_tostring(L, -2), arg, "names without '=' expected");
        lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_rawseti(L, -4, ++n);
        lua_pop(L, 1);
    }
}

/*** Run a program with our standard input and outputs.
@function child
@tparam table argv program (looked for in PATH) and arguments
@tparam[opt] table env variables by name, added to ours
@return child; or nil, why
*/
static int child_new(lua_State *L) {
    dm_why why;
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    dm_loop *l = dm_checkloop(L);
    char **argv = check_list(L, 1, 1);
    push_environment(L, 2);
    char **env = check_list(L, lua_gettop(L), 0);
    dm_child *c = dm_newblock(L, sizeof *c);
    memset(c, 0, sizeof *c);
    dm_setclass(L, CHILD);
    return dm_child_start(c, l, argv, env, &why) ? 1 : dm_pushwhy(L, &why);
}

/*** How it ended.
@function child:status
@treturn ?integer exit status, 128 + n after signal n; nil: it runs
*/
static int child_status(lua_State *L) {
    dm_child *c = luaL_checkudata(L, 1, CHILD);
    if (!dm_child_over(c)) return 0;
    lua_pushinteger(L, c->status);
    return 1;
}

/*** Wait until it may have ended.
@function child:wait
@treturn integer the number of the wait
*/
static int child_wait(lua_State *L) {
    dm_child *c = luaL_checkudata(L, 1, CHILD);
    if (!c->watch.loop) return luaL_error(L, "the child is closed");
    if (c->watch.wait[DM_READ]) return luaL_error(L, "somebody waits for this child already");
    return dm_pushwait(L, dm_watch_wait(&c->watch, DM_READ, DM_READ, -1));
}

static int check_signal(lua_State *L, int arg) {
    const char *name = luaL_checkstring(L, arg);
    int number = dm_signal_number(name);
    if (number == 0) luaL_argerror(L, arg, "TERM, INT, HUP, QUIT, KILL, USR1 or USR2 expected");
    return number;
}

/*** Send it a signal.
@function child:kill
@tparam string name "TERM" …
@return true; or nil, why
*/
static int child_kill(lua_State *L) {
    dm_child *c = luaL_checkudata(L, 1, CHILD);
    dm_why why;
    if (!dm_child_kill(c, check_signal(L, 2), &why)) return dm_pushwhy(L, &why);
    lua_pushboolean(L, 1);
    return 1;
}

static int child_close(lua_State *L) {
    dm_child_close(luaL_checkudata(L, 1, CHILD));
    return 0;
}

/*** Take over some signals of the process, for good: they no longer do what they did.
@function signals
@tparam string … names
@return signals; or nil, why
*/
static int signals_new(lua_State *L) {
    sigset_t set;
    dm_why why;
    int n = lua_gettop(L);
    luaL_checkstring(L, 1);
    sigemptyset(&set);
    for (int i = 1; i <= n; i++) sigaddset(&set, check_signal(L, i));
    dm_loop *l = dm_checkloop(L);
    dm_watch *w = dm_newblock(L, sizeof *w);
    memset(w, 0, sizeof *w);
    dm_setclass(L, SIGNALS);
    return dm_signals_open(w, l, &set, &why) ? 1 : dm_pushwhy(L, &why);
}

static dm_watch *check_signals(lua_State *L) {
    dm_watch *w = luaL_checkudata(L, 1, SIGNALS);
    if (!w->loop) luaL_error(L, "the signals are closed");
    return w;
}

/*** Take one that came.
@function signals:take
@treturn ?string its name
*/
static int signals_take(lua_State *L) {
    int number = dm_signals_take(check_signals(L));
    if (number == 0) return 0;
    lua_pushstring(L, dm_signal_name(number));
    return 1;
}

/*** Wait for one.
@function signals:wait
@treturn integer the number of the wait
*/
static int signals_wait(lua_State *L) {
    dm_watch *w = check_signals(L);
    if (w->wait[DM_READ]) return luaL_error(L, "somebody waits for these signals already");
    return dm_pushwait(L, dm_watch_wait(w, DM_READ, DM_READ, -1));
}

static int signals_close(lua_State *L) {
    dm_watch_close(luaL_checkudata(L, 1, SIGNALS));
    return 0;
}

/*** A new folder that only we may enter.
@function mkdtemp
@tparam ?string prefix how its path begins (default: TMPDIR/directmail-)
@return path; or nil, why
*/
static int make_temporary(lua_State *L) {
    char path[PATH_MAX];
    const char *prefix = lua_isnoneornil(L, 1) ? NULL : dm_checktext(L, 1), *under = getenv("TMPDIR");
    if (!under || !*under) under = "/tmp";
    int size = prefix ? snprintf(path, sizeof path, "%sXXXXXX", prefix) : snprintf(path, sizeof path, "%s/directmail-XXXXXX", under);
    if (size >= (int)sizeof path) return fail_errno(L, ENAMETOOLONG);
    if (!mkdtemp(path)) return fail_errno(L, errno);
    lua_pushstring(L, path);
    return 1;
}

/*** Make a folder; one that is there already is fine.
@function mkdir
@tparam string path
@return true; or nil, why
*/
static int make_folder(lua_State *L) {
    const char *path = dm_checktext(L, 1);
    struct stat there;
    if (mkdir(path, 0777) != 0 && !(errno == EEXIST && stat(path, &there) == 0 && S_ISDIR(there.st_mode))) return fail_errno(L, errno);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Set what new files may not allow.
@function umask
@tparam integer mask 63 is 0077
@treturn integer the old one
*/
static int set_umask(lua_State *L) {
    lua_Integer mask = dm_checkinteger(L, 1);
    luaL_argcheck(L, mask >= 0 && mask <= 0777, 1, "permission bits expected");
    lua_pushinteger(L, (lua_Integer)umask((mode_t)mask));
    return 1;
}

void dm_open_process(lua_State *L) {
    static const luaL_Reg functions[] = {{"child", child_new}, {"signals", signals_new}, {"mkdtemp", make_temporary}, {"mkdir", make_folder}, {"umask", set_umask}, {NULL, NULL}};
    static const luaL_Reg child[] = {{"status", child_status}, {"wait", child_wait}, {"kill", child_kill}, {"close", child_close}, {NULL, NULL}};
    static const luaL_Reg signals[] = {{"take", signals_take}, {"wait", signals_wait}, {"close", signals_close}, {NULL, NULL}};
    dm_newclass(L, CHILD, child, child_close);
    dm_newclass(L, SIGNALS, signals, signals_close);
    dm_setfuncs(L, functions);
}
