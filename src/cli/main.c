/*
** main.c - the command: a Lua 5.4 state that carries the files of lua/ and hands argv to directmail.command.
*/
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "directmail.h"

#ifndef DM_LIBDIR
#define DM_LIBDIR "/usr/local/lib/lua/5.4"      /* for modules installed under another prefix than the command */
#endif

#define EXIT_OURS 5     /* a script's error, or ours: the exit codes stand in lua/directmail/command/exit.lua */
#define CHUNK 65536     /* octets of stdin that are asked for at once: what a pipe holds */

typedef struct embedded {
    const char *name;   /* "directmail.session" */
    const char *chunk;  /* "=directmail/session.lua": the '=' keeps it apart from a user's file of that name */
    const char *text;
    size_t len;
} embedded;

#include "embed.inc"    /* static const embedded embedded_files[], made by src/cli/embed.lua */

/* The modules in C. They are looked for in package.cpath only: Lua's own order
** would take a directmail/core.lua in the working folder first. */
static const char *const modules[] = { "directmail.core", "directmail.net", "directmail.html", "directmail.store" };

/* Load the module 'name' of C from package.cpath (upvalue 1 is the package table).
** Returns the loader's values, or raises with the remedy. */
static int find_module(lua_State *L, const char *name) {
    lua_getfield(L, lua_upvalueindex(1), "searchpath");
    lua_pushvalue(L, 1);
    lua_getfield(L, lua_upvalueindex(1), "cpath");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return luaL_error(L, "the module %s is missing: run make in the source folder, or make install\n\t%s",
                          name, lua_tostring(L, -1));
    lua_pop(L, 1);
    const char *path = lua_tostring(L, -1);
    lua_getfield(L, lua_upvalueindex(1), "loadlib");
    lua_pushvalue(L, -2);
    lua_pushfstring(L, "luaopen_%s", luaL_gsub(L, name, ".", "_"));
    lua_remove(L, -2);          /* what luaL_gsub left */
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return luaL_error(L, "%s cannot be loaded: %s", path, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_pushstring(L, path);
    return 2;
}

/* A searcher for package.searchers: the embedded files and our modules in C. */
static int search(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    for (size_t i = 0; i < sizeof embedded_files / sizeof *embedded_files; i++) {
        const embedded *e = &embedded_files[i];
        if (strcmp(e->name, name) != 0) continue;
        if (luaL_loadbufferx(L, e->text, e->len, e->chunk, "t") != LUA_OK) return lua_error(L);
        lua_pushstring(L, e->chunk + 1);
        return 2;
    }
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strcmp(modules[i], name) == 0) return find_module(L, name);
    lua_pushfstring(L, "no file '%s' inside the command", name);
    return 1;
}

/* Put search() right behind package.preload, so that no directmail.lua of the
** working folder or of LUA_PATH comes first. The package table is on top. */
static void add_searcher(lua_State *L) {
    lua_getfield(L, -1, "searchers");
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, search, 1);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 1);
}

/* The folder of this program, without a slash behind it; false when /proc does not say. */
static int own_folder(char *path, size_t size) {
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    if (n <= 0 || (size_t)n >= size - 1) return 0;      /* a cut path is no path */
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return 0;
    *slash = '\0';
    return 1;
}

/* Does 'folder' hold our modules in C? */
static int has_modules(const char *folder) {
    char core[PATH_MAX + 64];
    int n = snprintf(core, sizeof core, "%s/directmail/core.so", folder);
    return n > 0 && (size_t)n < sizeof core && access(core, R_OK) == 0;
}

/* Octets of stdin as soon as there are some: Lua's own read waits until it has all that was asked for, and a person types
** a message to its lone dot. Returns a string, nothing at the end, or nil and why not. */
static int receive(lua_State *L) {
    luaL_Buffer b;
    ssize_t n;
    char *to = luaL_buffinitsize(L, &b, CHUNK);
    do n = read(STDIN_FILENO, to, CHUNK);
    while (n < 0 && errno == EINTR);
    int code = errno;
    luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
    if (n > 0) return 1;
    if (n == 0) return 0;
    lua_pushnil(L);
    lua_pushstring(L, strerror(code));
    return 2;
}

/* Push the table that directmail.command.main gets beside argv: where this
** program lies and what it is. Prepends our module folder to package.cpath. */
static void push_place(lua_State *L) {
    char dir[PATH_MAX];
    lua_newtable(L);
    lua_pushliteral(L, DM_LIBDIR);
    lua_setfield(L, -2, "lib");
    lua_pushliteral(L, DM_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushliteral(L, LUA_VERSION "." LUA_VERSION_RELEASE);
    lua_setfield(L, -2, "lua");
    lua_pushcfunction(L, receive);
    lua_setfield(L, -2, "receive");
    if (own_folder(dir, sizeof dir)) {
        lua_pushstring(L, dir);
        lua_setfield(L, -2, "folder");
        char *slash = strrchr(dir, '/');
        if (has_modules(lua_pushfstring(L, "%s/lua5.4", dir))) {        /* a build tree */
            lua_setfield(L, -2, "lib");
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, "build");
        } else {
            lua_pop(L, 1);
            if (slash) *slash = '\0';
            if (has_modules(lua_pushfstring(L, "%s/lib/lua/5.4", dir)))  /* installed under any prefix */
                lua_setfield(L, -2, "lib");
            else
                lua_pop(L, 1);
        }
    }
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -2, "lib");
    lua_getfield(L, -2, "cpath");
    lua_pushfstring(L, "%s/?.so;%s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_setfield(L, -4, "cpath");
    lua_pop(L, 3);
}

/* The whole program, protected: argc and argv in, the exit code out. */
static int run(lua_State *L) {
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);
    luaL_checkversion(L);
    luaL_openlibs(L);
    lua_gc(L, LUA_GCGEN, 0, 0);     /* mails are short-lived; the state is ours alone */
    lua_getglobal(L, LUA_LOADLIBNAME);
    add_searcher(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "directmail.command");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_createtable(L, argc, 1);        /* argv[0] is the name that we were called by */
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    push_place(L);
    lua_call(L, 2, 1);
    return 1;
}

/* Do our callers know the codes of sysexits.h only? */
static int is_sendmail(int argc, char **argv) {
    if (argc < 1) return 0;
    const char *slash = strrchr(argv[0], '/');
    return strcmp(slash ? slash + 1 : argv[0], "sendmail") == 0 || (argc > 1 && strcmp(argv[1], "sendmail") == 0);
}

static void say(const char *what, const char *why) { fprintf(stderr, "directmail: %s%s\n", what, why); }

int main(int argc, char **argv) {
    int broken = is_sendmail(argc, argv) ? EX_SOFTWARE : EXIT_OURS, code = broken;
    lua_State *L = luaL_newstate();
    if (!L) {
        say("not enough memory", "");
        return code;
    }
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    int status = lua_pcall(L, 2, 1, 0);
    if (status == LUA_OK) {
        code = (int)lua_tointeger(L, -1);
    } else {
        const char *why = lua_tostring(L, -1);      /* "not enough memory" for LUA_ERRMEM */
        say("", why ? why : "stopped by an error that is not a text");
    }
    lua_close(L);
    /* The answer is part of the work: a full disk behind `>` must not look like success. */
    errno = 0;
    if (fflush(stdout) == EOF || ferror(stdout)) {
        say("the answer could not be written: ", errno ? strerror(errno) : "write error");
        if (code == 0) code = broken == EX_SOFTWARE ? EX_IOERR : EXIT_OURS;
    }
    return code;
}
