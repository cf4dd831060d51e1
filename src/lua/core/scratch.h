/* scratch.h - a buffer that Lua owns, so that an error raised on the way leaks nothing. */
#ifndef DM_LUA_SCRATCH_H
#define DM_LUA_SCRATCH_H

#include "core.h"

#define DM_SCRATCH "directmail.scratch"

/* Encoded text of one call; a message's parts do not pass here. */
enum { DM_SCRATCH_LIMIT = 256 * 1024 * 1024, DM_SCRATCH_KEPT = 16 * 1024 };

typedef struct dm_scratch {
    dm_buf buf;
    bool busy;
} dm_scratch;

static int dm_scratch_gc(lua_State *L) {
    dm_scratch *s = (dm_scratch *)luaL_checkudata(L, 1, DM_SCRATCH);
    dm_buf_clear(&s->buf);
    return 0;
}

static inline dm_scratch *dm_scratch_new(lua_State *L) {
    dm_scratch *s = (dm_scratch *)dm_newblock(L, sizeof *s);
    dm_buf_init(&s->buf, DM_SCRATCH_LIMIT);
    s->busy = false;
    if (luaL_newmetatable(L, DM_SCRATCH)) {
        lua_pushcfunction(L, dm_scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return s;
}

/* Add 'list' to the table on top, each function with one scratch as its first upvalue. */
static inline void dm_scratch_funcs(lua_State *L, const luaL_Reg *list) {
    dm_scratch_new(L);
    for (; list->name; list++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, list->func, 1);
        lua_setfield(L, -3, list->name);
    }
    lua_pop(L, 1);
}

/* The empty scratch of the running function. A finalizer that Lua runs while a result is
** made may call the same function again, and an error may have left it taken: then a
** new one is pushed on the stack, which collects it. */
static inline dm_scratch *dm_scratch_take(lua_State *L) {
    dm_scratch *s = (dm_scratch *)lua_touserdata(L, lua_upvalueindex(1));
    if (s->busy) s = dm_scratch_new(L);
    s->busy = true;
    s->buf.n = 0;
    s->buf.code = DM_OK;
    return s;
}

static inline void dm_scratch_done(dm_scratch *s) {
    if (s->buf.cap > DM_SCRATCH_KEPT) dm_buf_clear(&s->buf);    /* one large text must not stay for ever */
    s->busy = false;
}

#endif
