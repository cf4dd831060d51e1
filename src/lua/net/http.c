/* http.c - HTTPS requests for Lua: what may be asked, and how it ended. */
#include "net.h"

#include "http.h"

#define CALL "directmail.http"

typedef struct call {
    dm_http http;
    int body;                       /* the request's string, which libcurl reads in place */
} call;

enum { REQUEST = 1 };               /* where the request's table is on the stack */

/* Misuse, at the line that called the function of host/std.lua. */
static int misuse(lua_State *L, const char *field, const char *fault) {
    luaL_where(L, 2);
    if (field) lua_pushfstring(L, "bad request: %s %s", field, fault);
    else lua_pushfstring(L, "bad request: %s", fault);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Raw: what a metamethod made up would not stay anywhere. */
static void push_field(lua_State *L, const char *name) {
    lua_pushstring(L, name);
    lua_rawget(L, REQUEST);
}

/* A field that is a string; it stays in the table. NULL: not given. */
static const char *text_field(lua_State *L, const char *name, size_t *size) {
    size_t n = 0;
    push_field(L, name);
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING) misuse(L, name, "is no string");
    const char *text = lua_tolstring(L, -1, &n);
    if (size) *size = n;
    else if (text && strlen(text) != n) misuse(L, name, "holds a NUL");
    lua_pop(L, 1);
    return text;
}

static double number_field(lua_State *L, const char *name, double otherwise, double largest) {
    push_field(L, name);
    if (lua_isnil(L, -1)) lua_pushnumber(L, otherwise);
    if (lua_type(L, -1) != LUA_TNUMBER || !(lua_tonumber(L, -1) > 0)) misuse(L, name, "is no number over 0");
    double n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return n < largest ? n : largest;
}

/* false: h->why says why not. */
static bool add_headers(lua_State *L, dm_http *h) {
    bool fine = true;
    push_field(L, "headers");
    if (lua_isnil(L, -1)) lua_newtable(L);
    if (!lua_istable(L, -1)) misuse(L, "headers", "is no table by name");
    for (lua_pushnil(L); fine && lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) misuse(L, "headers", "is no table of strings by name");
        dm_view name = dm_checkview(L, -2), value = dm_checkview(L, -1);
        const char *fault = dm_http_header_fault(name.p, name.n, value.p, value.n);
        if (fault) misuse(L, dm_http_name(name.p, name.n) ? name.p : "a header", fault);    /* never the value: it may be a signature */
        bool empty = value.n == strspn(value.p, " \t");
        if (empty) lua_pushfstring(L, "%s;", name.p);       /* libcurl's way to say so */
        else lua_pushfstring(L, "%s: %s", name.p, value.p);
        fine = dm_http_header(h, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_settop(L, REQUEST + 1);
    return fine;
}

static void set(lua_State *L, const char *name, const char *text) {
    if (!*text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void push_common(lua_State *L, const dm_http *h) {
    set(L, "peer", h->peer);
    lua_pushnumber(L, h->seconds);
    lua_setfield(L, -2, "seconds");
}

static int push_failure(lua_State *L, const dm_http *h) {
    static const char *const codes[] = {
        [DM_HTTP_DNS] = "DNS", [DM_HTTP_CONNECT] = "CONNECT", [DM_HTTP_TLS] = "TLS", [DM_HTTP_TIMEOUT] = "TIMEOUT",
        [DM_HTTP_LOST] = "LOST", [DM_HTTP_PROTOCOL] = "PROTOCOL",
    };
    lua_pushnil(L);
    lua_createtable(L, 0, 6);
    set(L, "code", codes[h->end]);
    set(L, "words", h->why.text);
    set(L, "step", h->asked ? "api" : "connect");
    lua_pushboolean(L, h->sent);
    lua_setfield(L, -2, "sent");
    push_common(L, h);
    return 2;
}

/*** Begin a request.
@function http
@tparam table request `url`, `method` ("POST"), `headers` by name, `body`, `connect_timeout` and `timeout` in seconds (60),
 `max_head` (65,536) and `max_body` (16 MiB) octets of the answer, `ca` (PEM file), `proxy` (URL); raises when it cannot be written as HTTP
@return a call and the number of its wait; or nil and the failure as call:finish()
*/
static int call_new(lua_State *L) {
    luaL_checktype(L, REQUEST, LUA_TTABLE);
    lua_settop(L, REQUEST);
    dm_loop *l = dm_checkloop(L);
    call *c = dm_newblock(L, sizeof *c);
    memset(c, 0, sizeof *c);
    c->body = LUA_NOREF;
    dm_setclass(L, CALL);
    dm_http *h = &c->http;
    dm_http_request r = {.url = text_field(L, "url", NULL), .method = text_field(L, "method", NULL), .ca = text_field(L, "ca", NULL), .proxy = text_field(L, "proxy", NULL)};
    if (!r.url) return misuse(L, "url", "is missing");
    if (!r.method) r.method = "POST";
    r.body = text_field(L, "body", &r.body_size);
    r.seconds = number_field(L, "timeout", 60, 1e6);
    r.connect_seconds = number_field(L, "connect_timeout", r.seconds, 1e6);
    r.max_head = (size_t)number_field(L, "max_head", 65536, 1 << 30);
    r.max_body = (size_t)number_field(L, "max_body", 16777216, 1 << 30);
    const char *fault = dm_http_fault(&r);
    if (fault) return misuse(L, NULL, fault);
    dm_http_init(h, l);
    if (!add_headers(L, h)) return push_failure(L, h);
    if (r.body) {
        push_field(L, "body");
        c->body = dm_keep(L, -1);
        lua_pop(L, 1);
    }
    if (!dm_http_start(h, &r)) return push_failure(L, h);
    lua_pushinteger(L, (lua_Integer)h->transfer.wait);
    return 2;
}

/*** Give up; who waits is woken.
@function call:close
*/
static int call_close(lua_State *L) {
    call *c = luaL_checkudata(L, 1, CALL);
    dm_http_close(&c->http);
    dm_unkeep(L, &c->body);
    return 0;
}

/*** Take what came of it when the call's wait is over; the call is closed by it.
@function call:finish
@return {head = its octets, body=, peer=, seconds=, reused=}; or nil and {code = "DNS", "CONNECT", "TLS", "TIMEOUT", "LOST" or "PROTOCOL",
 words=, step = "connect" or "api", sent = an octet of the request may have left, peer=, seconds=}
*/
static int call_finish(lua_State *L) {
    call *c = luaL_checkudata(L, 1, CALL);
    dm_http *h = &c->http;
    if (h->end == DM_HTTP_RUNS) return luaL_error(L, "the request is not over yet");
    if (h->end != DM_HTTP_ANSWERED) {
        call_close(L);
        return push_failure(L, h);
    }
    if (!h->head) return luaL_error(L, "the answer was taken already");
    lua_createtable(L, 0, 5);
    lua_pushlstring(L, h->head, h->head_size);
    lua_setfield(L, -2, "head");
    lua_pushlstring(L, h->body ? h->body : "", h->body_size);
    lua_setfield(L, -2, "body");
    lua_pushboolean(L, h->reused);
    lua_setfield(L, -2, "reused");
    push_common(L, h);
    call_close(L);
    return 1;
}

void dm_open_http(lua_State *L) {
    static const luaL_Reg methods[] = {{"finish", call_finish}, {"close", call_close}, {NULL, NULL}};
    dm_newclass(L, CALL, methods, call_close);
    lua_pushcfunction(L, call_new);
    lua_setfield(L, -2, "http");
}
