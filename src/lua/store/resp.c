/*
** resp.c - Redis's protocol over hiredis, bytes in and bytes out: commands are written, replies read; the socket is the caller's.
** https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2)
*/
#include "store.h"

#include <hiredis/hiredis.h>

#define RESP "directmail.resp"

enum {
    MOST_ELEMENTS = 100000,             /* of one array: no server makes us reserve more for what it only announces */
    MOST_WORDS = 100000,                /* of one command */
    DEPTH = 9,                          /* arrays in arrays: more than hiredis itself reads */
};
#define MOST_OCTETS ((size_t)96 << 20)  /* of one reply: two of the largest payloads, and what stands around them */

#if HIREDIS_MAJOR >= 1
typedef size_t elements_t;
#else
typedef int elements_t;
#endif

typedef struct resp {
    redisReader *reader;
    redisReplyObjectFunctions functions;        /* hiredis's own, but for arrays */
    void *(*array)(const redisReadTask *, elements_t);
    void *reply;                                /* being turned into values: freed by close when that raises */
    size_t waiting;                             /* octets since the last whole reply */
} resp;

static void *bounded_array(const redisReadTask *task, elements_t n) {
    const resp *r = task->privdata;
    return n > MOST_ELEMENTS ? NULL : r->array(task, n);
}

static int l_close(lua_State *L) {
    resp *r = luaL_checkudata(L, 1, RESP);
    if (r->reply) freeReplyObject(r->reply);
    if (r->reader) redisReaderFree(r->reader);
    r->reply = NULL;
    r->reader = NULL;
    return 0;
}

static resp *self(lua_State *L) {
    resp *r = luaL_checkudata(L, 1, RESP);
    if (!r->reader) luaL_error(L, "the reader is closed");
    return r;
}

/*** A reader of replies.
@function resp
@treturn reader
*/
static int l_new(lua_State *L) {
    resp *r = dm_newblock(L, sizeof *r);
    *r = (resp){0};
    dm_setclass(L, RESP);
    r->reader = redisReaderCreate();
    if (!r->reader) return luaL_error(L, "out of memory");
    r->functions = *r->reader->fn;
    r->array = r->functions.createArray;
    r->functions.createArray = bounded_array;
    r->reader->fn = &r->functions;
    r->reader->privdata = r;
    return 1;
}

static void push_reply(lua_State *L, const redisReply *reply, int depth) {
    luaL_checkstack(L, 4, "too deep");
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        lua_pushinteger(L, (lua_Integer)reply->integer);
        return;
    case REDIS_REPLY_ERROR:
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, reply->str, reply->len);
        lua_setfield(L, -2, "err");
        return;
    case REDIS_REPLY_STRING: case REDIS_REPLY_STATUS:
        lua_pushlstring(L, reply->str, reply->len);
        return;
    case REDIS_REPLY_ARRAY:
        lua_createtable(L, (int)reply->elements, 0);
        for (size_t i = 0; i < reply->elements && depth < DEPTH; i++) {
            push_reply(L, reply->element[i], depth + 1);
            lua_rawseti(L, -2, (int)i + 1);
        }
        return;
    default:
        lua_pushboolean(L, 0);
    }
}

/*** Take in octets of the server's.
@function reader:feed
@tparam string bytes
@treturn boolean true; or nil, why: the connection is of no more use
*/
static int l_feed(lua_State *L) {
    resp *r = self(L);
    dm_view bytes = dm_checkview(L, 2);
    r->waiting += bytes.n;
    if (r->waiting > MOST_OCTETS) {
        lua_pushnil(L);
        lua_pushliteral(L, "its reply has no end");
        return 2;
    }
    if (redisReaderFeed(r->reader, bytes.p, bytes.n) != REDIS_OK) {
        lua_pushnil(L);
        lua_pushstring(L, r->reader->errstr);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/*** The next whole reply.
@function reader:next
@treturn[1] boolean true
@return[1] the reply: string, number, false for nil, a list, or `{ err = words }`
@treturn[2] boolean false: more octets are needed; or nil, why
*/
static int l_next(lua_State *L) {
    resp *r = self(L);
    if (redisReaderGetReply(r->reader, &r->reply) != REDIS_OK) {
        lua_pushnil(L);
        lua_pushfstring(L, "it is no Redis: %s", r->reader->errstr);
        return 2;
    }
    if (!r->reply) {
        lua_pushboolean(L, 0);
        return 1;
    }
    r->waiting = r->reader->len - r->reader->pos;
    lua_pushboolean(L, 1);
    push_reply(L, r->reply, 0);
    freeReplyObject(r->reply);
    r->reply = NULL;
    return 2;
}

typedef struct command {
    char *text;
    long long size;
} command;

static int push_command(lua_State *L) {
    const command *made = lua_touserdata(L, 1);
    lua_pushlstring(L, made->text, (size_t)made->size);
    return 1;
}

/*** A command as octets.
@function command
@tparam {string,...} words
@treturn string
*/
static int l_command(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = dm_rawlen(L, 1);
    luaL_argcheck(L, n >= 1 && n <= MOST_WORDS, 1, "list of words expected");
    lua_settop(L, 1);
    const char **words = dm_newblock(L, n * sizeof *words);
    size_t *lengths = dm_newblock(L, n * sizeof *lengths);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 1, "list of strings expected");
        words[i] = lua_tolstring(L, -1, &lengths[i]);   /* the list keeps it alive */
        lua_pop(L, 1);
    }
    command made = {NULL, 0};
    made.size = redisFormatCommandArgv(&made.text, (int)n, words, lengths);
    if (made.size < 0) return luaL_error(L, "out of memory");
    lua_pushcfunction(L, push_command);         /* protected: hiredis's copy must not leak when memory runs out */
    lua_pushlightuserdata(L, &made);
    int status = lua_pcall(L, 1, 1, 0);
    redisFreeCommand(made.text);
    return status == 0 ? 1 : lua_error(L);
}

void dm_open_resp(lua_State *L) {
    static const luaL_Reg methods[] = {{"feed", l_feed}, {"next", l_next}, {"close", l_close}, {NULL, NULL}};
    dm_newclass(L, RESP, methods, l_close);
    lua_pushcfunction(L, l_new);
    lua_setfield(L, -2, "resp");
    lua_pushcfunction(L, l_command);
    lua_setfield(L, -2, "command");
}
