/* profile.c - a profile: settings as Lua text, read from a file that nobody else may write and run in a jail. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#if LUA_VERSION_NUM == 501
#define push_globals(L) lua_pushvalue(L, LUA_GLOBALSINDEX)
#else
#define push_globals(L) lua_pushglobaltable(L)
#endif

#define JAIL "directmail.jail"

enum {
    MAX_OCTETS = 1 << 24,           /* what a caller may allow, so that sizes stay far from overflow */
    MEMORY = 2 * 1024 * 1024,       /* of the jail; a file of the largest size, all short values, stays below it */
    STEP = 1000,                    /* instructions between two looks at the account */
    WEIGHT = 32 * 1024,             /* octets held that make an instruction count once more */
    DEPTH = 3,                      /* route = { residency = { "de" } } */
    NAME = 64
};

/* A Lua state without libraries. It begins with its own allocator, which LuaJIT wants on some machines,
** and the counting one is put around that. */
typedef struct jail {
    lua_State *L;
    lua_Alloc give;
    void *giver;
    size_t used, peak;              /* octets now, and the most since the last look */
    size_t left;                    /* instructions */
    bool late;
} jail;

static void *give_within(void *ud, void *block, size_t old, size_t size) {
    jail *j = (jail *)ud;
    size_t had = block ? old : 0;   /* without a block, 'old' is the kind of object (5.2) */
    if (size > had && size - had > MEMORY - j->used) return NULL;
    void *given = j->give(j->giver, block, old, size);
    if (!given && size > 0) return NULL;
    j->used = j->used > had ? j->used - had + size : size;
    if (j->used > j->peak) j->peak = j->used;
    return given;
}

/* An instruction may copy or compare all that is held, so it costs by that: two million comparisons
** of a string of a megabyte would be minutes. */
static void look(lua_State *L, lua_Debug *ar) {
    void *ud;
    (void)ar;
    lua_getallocf(L, &ud);
    jail *j = (jail *)ud;
    size_t cost = STEP * (1 + j->peak / WEIGHT);
    j->peak = j->used;
    if (cost < j->left) {
        j->left -= cost;
        return;
    }
    j->late = true;
    luaL_error(L, "too many instructions");
}

static int jail_close(lua_State *L) {
    jail *j = (jail *)luaL_checkudata(L, 1, JAIL);
    if (!j->L) return 0;
    lua_setallocf(j->L, j->give, j->giver);     /* LuaJIT frees its arena only when it finds its own allocator */
    lua_close(j->L);
    j->L = NULL;
    return 0;
}

static jail *jail_new(lua_State *L, size_t instructions) {
    jail *j = (jail *)dm_newblock(L, sizeof *j);
    memset(j, 0, sizeof *j);
    dm_setclass(L, JAIL);
    j->L = luaL_newstate();
    if (!j->L) luaL_error(L, "not enough memory");
    j->give = lua_getallocf(j->L, &j->giver);
    j->used = (size_t)lua_gc(j->L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(j->L, LUA_GCCOUNTB, 0);
    j->peak = j->used;
    j->left = instructions;
    lua_setallocf(j->L, give_within, j);
    lua_sethook(j->L, look, LUA_MASKCOUNT, STEP);
    return j;
}

/* What profile() returns when it says no: nil, code, sentence, remedy or NULL. */
static int refuse(lua_State *L, const char *code, const char *sentence, const char *remedy) {
    lua_pushnil(L);
    lua_pushstring(L, code);
    lua_pushstring(L, sentence);
    lua_pushstring(L, remedy);
    return 4;
}

/* ---- the file --------------------------------------------------------------*/

/* The first thing that is wrong with the open file, as pushed by refuse(); 0 when it may be read. */
static int check_file(lua_State *L, const char *path, const struct stat *st) {
    char sentence[96];
    if (S_ISDIR(st->st_mode)) return refuse(L, "FILE", "is a folder", "name a file");
    if (!S_ISREG(st->st_mode)) return refuse(L, "FILE", "is not a regular file", "write the settings into a file");
    if (st->st_uid != geteuid() && st->st_uid != 0) {
        snprintf(sentence, sizeof sentence, "belongs to another user (%lu)", (unsigned long)st->st_uid);
        return refuse(L, "FILE", sentence, lua_pushfstring(L, "after a look at what it says: chown %d %s", (int)geteuid(), path));
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        snprintf(sentence, sizeof sentence, "may be written by others than its owner (mode %04o)", (unsigned)st->st_mode & 07777U);
        return refuse(L, "FILE", sentence, lua_pushfstring(L, "after a look at what it says: chmod 600 %s", path));
    }
    return 0;
}

/* Read up to 'max' octets of 'path' into 'text'; what is checked is what is read, one descriptor. Returns 0, or what refuse() returned. */
static int read_file(lua_State *L, const char *path, char *text, size_t max, size_t *len, struct stat *st) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);     /* a FIFO must not hold us up */
    if (fd < 0) {
        int why = errno;
        struct stat any;
        /* HOME of another user, as after su or sudo: whether a file lies in there is not for us to know. */
        bool absent = why == ENOENT || why == ENOTDIR || (why == EACCES && stat(path, &any) != 0);
        return refuse(L, absent ? "ABSENT" : "FILE", lua_pushfstring(L, "cannot be read: %s", strerror(why)), "check the name and the rights of the file");
    }
    int why = 0;
    *len = 0;
    if (fstat(fd, st) != 0) why = errno;
    if (!why && S_ISREG(st->st_mode)) {
        while (*len <= max) {
            ssize_t n = read(fd, text + *len, max + 1 - *len);
            if (n == 0) break;
            if (n > 0) *len += (size_t)n;
            else if (errno != EINTR) {
                why = errno;
                break;
            }
        }
    }
    close(fd);
    if (why) return refuse(L, "FILE", lua_pushfstring(L, "cannot be read: %s", strerror(why)), "check the name and the rights of the file");
    int refused = check_file(L, path, st);
    if (refused) return refused;
    if (*len > max)
        return refuse(L, "FILE", lua_pushfstring(L, "is larger than %d octets", (int)max), "a profile is a short list of settings");
    return 0;
}

/* ---- what it says ----------------------------------------------------------*/

/* Plain values out of the jail; 'room' keeps a small text from becoming a large table. */
typedef struct copy {
    lua_State *from, *to;
    size_t room;
    char name[NAME];            /* of the setting at hand, cut to fit */
    char why[96];
} copy;

static bool fail(copy *c, const char *why, const char *type) {
    snprintf(c->why, sizeof c->why, "%s%s", why, type);
    return false;
}

static bool spend(copy *c, size_t n) {
    if (n >= c->room) return fail(c, "makes the profile too large", "");
    c->room -= n + 1;
    return true;
}

/* The string or number at the top of 'from'. */
static bool copy_scalar(copy *c) {
    size_t n = 0;
    if (lua_type(c->from, -1) == LUA_TSTRING) {
        const char *s = lua_tolstring(c->from, -1, &n);
        if (!spend(c, n)) return false;
        lua_pushlstring(c->to, s, n);
        return true;
    }
    if (!spend(c, n)) return false;
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(c->from, -1)) lua_pushinteger(c->to, lua_tointeger(c->from, -1));
    else
#endif
    lua_pushnumber(c->to, lua_tonumber(c->from, -1));
    return true;
}

/* The table at the top of 'from', without metatables: the jail has no way to set one. */
static bool copy_table(copy *c, int depth) {
    lua_newtable(c->to);
    lua_pushnil(c->from);
    while (lua_next(c->from, -2)) {
        int key = lua_type(c->from, -2), value = lua_type(c->from, -1);
        if (depth == 0) {
            if (key != LUA_TSTRING) return fail(c, "has a value without a name: its key is a ", lua_typename(c->from, key));
            snprintf(c->name, sizeof c->name, "%s", lua_tostring(c->from, -2));
        } else if (key != LUA_TSTRING && key != LUA_TNUMBER) {
            return fail(c, "has a key that is a ", lua_typename(c->from, key));
        }
        lua_pushvalue(c->from, -2);
        bool good = copy_scalar(c);
        lua_pop(c->from, 1);
        if (!good) return false;
        if (value == LUA_TBOOLEAN) {
            if (!spend(c, 0)) return false;
            lua_pushboolean(c->to, lua_toboolean(c->from, -1));
        } else if (value == LUA_TSTRING || value == LUA_TNUMBER) {
            if (!copy_scalar(c)) return false;
        } else if (value == LUA_TTABLE) {
            if (depth + 1 == DEPTH) return fail(c, "holds a table in tables", "");
            if (!spend(c, 0) || !copy_table(c, depth + 1)) return false;
        } else {
            return fail(c, "holds a ", lua_typename(c->from, value));
        }
        lua_rawset(c->to, -3);
        lua_pop(c->from, 1);
    }
    return true;
}

/* Load and run 'text' in the jail: LUA_OK with the table of settings on its stack; or what refuse() returned. */
static int run(lua_State *L, jail *j, const char *text, size_t len) {
    lua_State *in = j->L;
    int status = luaL_loadbuffer(in, text, len, "=profile");
    if (status == 0) status = lua_pcall(in, 0, 1, 0);
    lua_sethook(in, NULL, 0, 0);
    if (status != 0 && j->late)
        return refuse(L, "OPTION", "was stopped, since it does not come to an end", "a profile is a list of settings, without loops");
    if (status == LUA_ERRMEM)
        return refuse(L, "OPTION", lua_pushfstring(L, "needs more than %d MiB of memory", MEMORY >> 20), "a profile is a list of settings, without loops");
    if (status != 0) return refuse(L, "LUA", lua_type(in, -1) == LUA_TSTRING ? lua_tostring(in, -1) : "failed", NULL);
    push_globals(in);
    if (lua_isnil(in, -2)) return 0;
    if (!lua_istable(in, -2))
        return refuse(L, "OPTION", lua_pushfstring(L, "returns a %s", lua_typename(in, lua_type(in, -2))), "return { region = \"…\", … }");
    lua_pushnil(in);
    if (lua_next(in, -2)) {
        if (!lua_rawequal(in, -3, -4))
            return refuse(L, "OPTION", "returns a table and assigns names as well", "write return { region = \"…\", … }, or assignments only");
        lua_pop(in, 2);
    }
    lua_pop(in, 1);
    return 0;
}

/***
Read a profile: a file of Lua text that returns a table of settings, or assigns them as globals.
It must be a regular file of ours or of root that nobody else may write. The text runs in a state of its own, without a
library, within `instructions` and 2 MiB.
@function profile
@tparam string path
@tparam integer octets that the file may have
@tparam integer instructions after which it is stopped
@treturn[1] table name -> string, number, boolean or plain table of these
@treturn[1] table `{ text = what stands in the file, mode = "0644", exposed = true when others than its owner may read it }`
@treturn[2] nil
@treturn[2] string `ABSENT` (no such file), `FILE` (it cannot or must not be read), `OPTION` (what it says cannot be used),
  `LUA` (Lua's own message, `profile:LINE: …`, which may quote the text)
@treturn[2] string why, to be put behind the path
@treturn[2] string|nil remedy
*/
static int profile(lua_State *L) {
    size_t path_len;
    const char *path = luaL_checklstring(L, 1, &path_len);
    luaL_argcheck(L, !memchr(path, '\0', path_len), 1, "a path without NUL expected");
    lua_Integer max = dm_checkinteger(L, 2), instructions = dm_checkinteger(L, 3);
    luaL_argcheck(L, max > 0 && max <= MAX_OCTETS, 2, "number from 1 to 16777216 expected");
    luaL_argcheck(L, instructions > 0 && instructions <= 1000000000, 3, "number from 1 to 1000000000 expected");

    char *text = (char *)dm_newblock(L, (size_t)max + 1);
    struct stat st;
    size_t len;
    int refused = read_file(L, path, text, (size_t)max, &len, &st);
    if (refused) return refused;

    size_t start = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;    /* what some editors write in front of UTF-8 */
    if (start < len && text[start] == LUA_SIGNATURE[0])
        return refuse(L, "OPTION", "is compiled Lua", "only text is read");     /* bytecode can break out of any jail */
    jail *j = jail_new(L, (size_t)instructions);
    refused = run(L, j, text + start, len - start);
    if (refused) return refused;

    copy c;
    memset(&c, 0, sizeof c);
    c.from = j->L;
    c.to = L;
    c.room = (size_t)max;
    luaL_checkstack(L, 4 * DEPTH + 8, "a profile");
    if (!copy_table(&c, 0))
        return refuse(L, "OPTION", c.name[0] ? lua_pushfstring(L, "is not usable: \"%s\" %s", c.name, c.why) : lua_pushfstring(L, "is not usable: it %s", c.why),
            "strings, numbers, true, false, and lists of them");
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, "text");
    char mode[8];
    snprintf(mode, sizeof mode, "%04o", (unsigned)st.st_mode & 07777U);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "mode");
    lua_pushboolean(L, (st.st_mode & (S_IRGRP | S_IROTH)) != 0);
    lua_setfield(L, -2, "exposed");
    return 2;
}

void dm_open_profile(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"profile", profile}, {NULL, NULL}};
    dm_newclass(L, JAIL, methods, jail_close);
    dm_setfuncs(L, functions);
}
