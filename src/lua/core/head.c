/* head.c - HTTP/1.x heads and chunked bodies for Lua. */
#include "core.h"

#define CHUNKS "directmail.core.chunks"

static void set_view(lua_State *L, const char *name, dm_view v) {
    dm_pushview(L, v);
    lua_setfield(L, -2, name);
}

static void push_count(lua_State *L, uint64_t n) {
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, (lua_Integer)n);
#else
    lua_pushnumber(L, (lua_Number)n);
#endif
}

static int push_fault(lua_State *L, const char *why, int answer) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushinteger(L, answer);
    return 3;
}

static void push_fields(lua_State *L, const dm_head *h) {
    lua_createtable(L, (int)h->field_count, 0);
    for (size_t i = 0; i < h->field_count; i++) {
        lua_createtable(L, 2, 0);
        dm_pushview(L, h->fields[i].name);
        lua_rawseti(L, -2, 1);
        dm_pushview(L, h->fields[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/***
Take one HTTP/1.x head off the front of what came (RFC 9112).
@function head
@tparam string kind `"request"` or `"response"`
@tparam string bytes
@tparam[opt="GET"] string method of the request which a response answers
@treturn[1] table `minor` (of HTTP/1.minor), `list = {{name, value}…}`, `body` ("none", "length", "chunked", "close": until
 the connection ends), `length` with "length"; a request's `method`, `target`; a response's `status`, `reason`
@treturn[1] number octets that the head used
@treturn[2] boolean false: more octets are needed
@treturn[3] nil
@treturn[3] string why it is none
@treturn[3] number 400, 431, 501 or 505: what a server answers
*/
static int l_head(lua_State *L) {
    static const char *const kinds[] = {"request", "response", NULL};
    dm_head_kind kind = luaL_checkoption(L, 1, NULL, kinds) == 0 ? DM_HEAD_REQUEST : DM_HEAD_RESPONSE;
    dm_view in = dm_checkview(L, 2), method;
    method.p = luaL_optlstring(L, 3, "GET", &method.n);
    lua_settop(L, 3);
    dm_pair *fields = dm_newblock(L, DM_HEAD_FIELDS * sizeof *fields);
    dm_head h;
    dm_body body;
    long used = dm_head_parse(in, kind, fields, &h);
    if (used < 0) return push_fault(L, h.why, h.answer);
    if (used == 0) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (dm_head_body(&h, method, &body) != DM_OK) return push_fault(L, body.why, body.answer);
    lua_createtable(L, 0, 6);
    if (kind == DM_HEAD_REQUEST) {
        set_view(L, "method", h.method);
        set_view(L, "target", h.target);
    } else {
        lua_pushinteger(L, h.status);
        lua_setfield(L, -2, "status");
        set_view(L, "reason", h.reason);
    }
    lua_pushinteger(L, h.minor);
    lua_setfield(L, -2, "minor");
    lua_pushstring(L, dm_body_name(body.kind));
    lua_setfield(L, -2, "body");
    if (body.kind == DM_BODY_LENGTH) {
        push_count(L, body.length);
        lua_setfield(L, -2, "length");
    }
    push_fields(L, &h);
    lua_setfield(L, -2, "list");
    lua_pushinteger(L, used);
    return 2;
}

/***
A decoder of one chunked body (RFC 9112 section 7.1); extensions and trailers are read over.
@function chunks
@treturn chunks
*/
static int l_chunks(lua_State *L) {
    dm_chunk *c = dm_newblock(L, sizeof *c);
    memset(c, 0, sizeof *c);
    dm_setclass(L, CHUNKS);
    return 1;
}

/***
Bring what came.
@function chunks:feed
@tparam string bytes
@treturn[1] string octets of the body within them
@treturn[1] ?string once the body is over: what came behind it, perhaps ""; nil before that
@treturn[2] nil
@treturn[2] string why it is no chunked body, now and on every later call
*/
static int chunks_feed(lua_State *L) {
    dm_chunk *c = luaL_checkudata(L, 1, CHUNKS);
    dm_view in = dm_checkview(L, 2), data;
    luaL_Buffer body;
    luaL_buffinit(L, &body);
    for (;;) {
        long used = dm_chunk_take(c, in, &data);
        if (used < 0) {
            lua_pushnil(L);
            lua_pushliteral(L, "the body is not well chunked");
            return 2;
        }
        if (used == 0) break;
        luaL_addlstring(&body, data.p, data.n);
        in.p += used;
        in.n -= (size_t)used;
    }
    luaL_pushresult(&body);
    if (!dm_chunk_done(c)) return 1;
    dm_pushview(L, in);
    return 2;
}

static int chunks_close(lua_State *L) {
    luaL_checkudata(L, 1, CHUNKS);      /* it holds nothing */
    return 0;
}

void dm_open_head(lua_State *L) {
    static const luaL_Reg methods[] = {{"feed", chunks_feed}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"head", l_head}, {"chunks", l_chunks}, {NULL, NULL}};
    dm_newclass(L, CHUNKS, methods, chunks_close);
    dm_setfuncs(L, functions);
}
