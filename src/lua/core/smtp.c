/* smtp.c - the SMTP engine for Lua: seam 1, the words of dm_want as strings. */
#include "core.h"
#include "message.h"

#define SMTP "directmail.smtp"

typedef struct engine {
    dm_smtp *s;
    bool trace;
    bool reported;              /* the oldest message was reported: let go of it at the next call */
    int first, count;
    int kept[DM_SMTP_MESSAGES]; /* registry references of the messages, in push order */
} engine;

static engine *to_engine(lua_State *L) {
    engine *e = dm_self(L, "SMTP engine expected");
    if (!e->s) luaL_error(L, "this SMTP engine is closed");
    return e;
}

/* The oldest message is the caller's again: he may close it. */
static void release(lua_State *L, engine *e) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->kept[e->first]);
    dm_dropmessage(L, -1);
    lua_pop(L, 1);
}

static void let_go(lua_State *L, engine *e) {
    if (!e->reported) release(L, e);
    dm_unkeep(L, &e->kept[e->first]);
    e->first = (e->first + 1) % DM_SMTP_MESSAGES;
    e->count--;
    e->reported = false;
}

static void push_text(lua_State *L, const char *key, const char *text) {
    if (!*text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

/* {step=, code=, enhanced=, error=, detail=, text=}: what was said, by the server or by us */
static void push_said(lua_State *L, const dm_said *said) {
    lua_createtable(L, 0, 6);
    push_text(L, "step", dm_step_name(said->step));
    if (said->code != DM_OK) push_text(L, "error", dm_code_name(said->code));
    if (said->reply) {
        lua_pushinteger(L, said->reply);
        lua_setfield(L, -2, "code");
    }
    push_text(L, "enhanced", said->enhanced);
    push_text(L, "detail", said->detail);
    dm_pushview(L, said->text);
    lua_setfield(L, -2, "text");
}

static int push_result(lua_State *L, engine *e) {
    dm_result r;
    dm_smtp_result(e->s, &r);
    release(L, e);
    e->reported = true;
    lua_pushliteral(L, "result");
    lua_pushinteger(L, (lua_Integer)r.n);
    lua_pushstring(L, dm_outcome_name(r.outcome));
    push_said(L, &r.said);
    if (r.refused_count == 0) return 4;
    lua_createtable(L, (int)r.refused_count, 0);
    for (size_t i = 0; i < r.refused_count; i++) {
        push_said(L, &r.refused[i].said);
        lua_pushinteger(L, (lua_Integer)r.refused[i].rcpt + 1);
        lua_setfield(L, -2, "rcpt");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 5;
}

/***
What the engine wants now (design, seam 1).
@function engine:next
@return "write", bytes, step [, shown]: send all of it; `shown` (with trace) is what a transcript may show
@return "read", step: bring bytes with `feed`
@return "tls": run the handshake, then `secured`
@return "body", reader, max: bring bytes with `body`
@return "result", n, outcome, said [, refused]: message n is settled; refused lists {rcpt=index, step=, code=, text=…}
@return "idle", "done" or "fail"
*/
static int engine_next(lua_State *L) {
    engine *e = to_engine(L);
    dm_view data;
    int reader = -1;
    size_t max = 0;
    if (e->reported) let_go(L, e);
    switch (dm_smtp_next(e->s, &data, &reader, &max)) {
    case DM_WANT_WRITE:
        lua_pushliteral(L, "write");
        dm_pushview(L, data);
        lua_pushstring(L, dm_step_name(dm_smtp_step(e->s)));
        if (!e->trace) return 3;
        dm_pushview(L, dm_smtp_shown(e->s));
        return 4;
    case DM_WANT_READ:
        lua_pushliteral(L, "read");
        lua_pushstring(L, dm_step_name(dm_smtp_step(e->s)));
        return 2;
    case DM_WANT_TLS: lua_pushliteral(L, "tls"); return 1;
    case DM_WANT_BODY:
        lua_pushliteral(L, "body");
        lua_rawgeti(L, LUA_REGISTRYINDEX, e->kept[e->first]);   /* the oldest one not reported */
        dm_pushreader(L, -1, reader);
        lua_remove(L, -2);
        lua_pushinteger(L, (lua_Integer)max);
        return 3;
    case DM_WANT_RESULT: return push_result(L, e);
    case DM_WANT_IDLE: lua_pushliteral(L, "idle"); return 1;
    case DM_WANT_DONE: lua_pushliteral(L, "done"); return 1;
    case DM_WANT_FAIL: break;
    }
    lua_pushliteral(L, "fail");
    return 1;
}

/***
Queue message n.
@function engine:push
@tparam integer n comes back with the result
@tparam message m made by `core.message`; kept alive until after its result
@treturn boolean false when the engine takes no more
*/
static int engine_push(lua_State *L) {
    engine *e = to_engine(L);
    lua_Integer n = dm_checkinteger(L, 2);
    dm_message *m = dm_tomessage(L, 3);
    if (e->count == DM_SMTP_MESSAGES) {
        lua_pushboolean(L, 0);
        return 1;
    }
    dm_holdmessage(L, 3, e);
    int ref = dm_keep(L, 3);
    bool taken = dm_smtp_push(e->s, n, m);
    e->kept[(e->first + e->count++) % DM_SMTP_MESSAGES] = ref;
    if (!taken) {               /* the newest and, as the engine takes nothing, not its own */
        e->count--;
        dm_dropmessage(L, 3);
        dm_unkeep(L, &ref);
    }
    lua_pushboolean(L, taken);
    return 1;
}

static int engine_feed(lua_State *L) {
    engine *e = to_engine(L);
    dm_smtp_feed(e->s, dm_checkview(L, 2));
    return 0;
}

static int engine_secured(lua_State *L) {
    dm_smtp_secured(to_engine(L)->s);
    return 0;
}

/***
Bytes of the reader that `next` named; nil at its end; nil, why when reading failed.
@function engine:body
*/
static int engine_body(lua_State *L) {
    engine *e = to_engine(L);
    if (lua_isnoneornil(L, 2)) dm_smtp_body_end(e->s, luaL_optstring(L, 3, NULL));
    else dm_smtp_body(e->s, dm_checkview(L, 2));
    return 0;
}

static int engine_quit(lua_State *L) {
    dm_smtp_quit(to_engine(L)->s);
    return 0;
}

/***
The connection is gone, or never came: settles what is open.
@function engine:lost
@tparam string why a sentence
@tparam[opt="LOST"] string code one of core.codes
@tparam[opt] string detail for TLS: name, expired, issuer, clear, version
*/
static int engine_lost(lua_State *L) {
    engine *e = to_engine(L);
    const char *why = luaL_checkstring(L, 2), *name = luaL_optstring(L, 3, "LOST");
    int code = DM_E_OPTION;
    while (code < DM_CODES && strcmp(dm_code_name((dm_code)code), name) != 0) code++;
    luaL_argcheck(L, code < DM_CODES, 3, "no such error code");
    dm_smtp_lost(e->s, (dm_code)code, luaL_optstring(L, 4, ""), why);
    return 0;
}

/***
Another EHLO name, before it was said.
@function engine:hello
@return true, or nil and {code=, field=, detail=}
*/
static int engine_hello(lua_State *L) {
    engine *e = to_engine(L);
    dm_error err;
    dm_code code = dm_smtp_hello(e->s, dm_checkview(L, 2), &err);
    if (code == DM_E_MEMORY) return luaL_error(L, "not enough memory");
    if (code != DM_OK) {
        lua_pushnil(L);
        dm_pusherror(L, &err);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int engine_error(lua_State *L) {
    dm_said said;
    dm_smtp_error(to_engine(L)->s, &said);
    push_said(L, &said);
    return 1;
}

/***
Does the server take commands in groups? Known after EHLO.
@function engine:pipelines
*/
static int engine_pipelines(lua_State *L) {
    lua_pushboolean(L, (dm_smtp_caps(to_engine(L)->s)->caps & DM_CAP_PIPELINING) != 0);
    return 1;
}

static int engine_close(lua_State *L) {
    engine *e = luaL_checkudata(L, 1, SMTP);
    while (e->count > 0) let_go(L, e);
    dm_smtp_free(e->s);
    e->s = NULL;
    return 0;
}

static dm_view field_view(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    dm_view v = {NULL, 0};
    if (!lua_isnil(L, -1)) v.p = lua_tolstring(L, -1, &v.n);
    lua_pop(L, 1);              /* the table keeps it alive */
    return v;
}

static bool field_flag(lua_State *L, const char *key) {
    lua_getfield(L, 1, key);
    bool on = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return on;
}

/***
An engine for one connection.
@function core.smtp
@tparam table options {ehlo=, user=, password=, tls="starttls"|"implicit", pipeline="group"|"overlap"|"off", cleartext_auth=, trace=}
@return engine, or nil and {code=, field=, detail=}
*/
static int smtp_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    dm_smtp_options o;
    memset(&o, 0, sizeof o);
    o.ehlo = field_view(L, "ehlo");
    o.user = field_view(L, "user");
    o.password = field_view(L, "password");
    dm_view tls = field_view(L, "tls"), pipeline = field_view(L, "pipeline");
    o.tls = tls.p && dm_view_is(tls, "implicit") ? DM_TLS_IMPLICIT : DM_TLS_STARTTLS;
    o.pipeline = !pipeline.p || dm_view_is(pipeline, "group") ? DM_PIPELINE_GROUP
                 : dm_view_is(pipeline, "overlap") ? DM_PIPELINE_OVERLAP : DM_PIPELINE_OFF;
    o.cleartext_auth = field_flag(L, "cleartext_auth");
    o.trace = field_flag(L, "trace");
    engine *e = dm_newblock(L, sizeof *e);
    memset(e, 0, sizeof *e);    /* valid and closed before anything can fail */
    e->trace = o.trace;
    dm_setclass(L, SMTP);
    dm_error err;
    dm_code code = dm_smtp_new(&e->s, &o, &err);
    if (code == DM_OK) return 1;
    if (code == DM_E_MEMORY) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    dm_pusherror(L, &err);
    return 2;
}

void dm_open_smtp(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"next", engine_next}, {"push", engine_push}, {"feed", engine_feed}, {"secured", engine_secured},
        {"body", engine_body}, {"quit", engine_quit}, {"lost", engine_lost}, {"error", engine_error}, {"hello", engine_hello},
        {"pipelines", engine_pipelines}, {"close", engine_close}, {NULL, NULL},
    };
    dm_newfastclass(L, SMTP, methods, engine_close);
    lua_pushcfunction(L, smtp_new);
    lua_setfield(L, -2, "smtp");
}
