/* message.c - messages for Lua: tables in, chunks of a finished message out. */
#include "message.h"

#include "core.h"

#define MESSAGE "directmail.message"

static const char class_key = 0;        /* its address finds the metatable faster than the name does */

typedef struct box {
    dm_message *m;
    dm_buf out;                 /* bytes that wait for pull() */
    int kept;                   /* registry reference of a list: data or reader of each part */
    int reader;                 /* part whose reader was asked */
    const void *owner;          /* who pulls it now, see dm_holdmessage() */
    int held;
} box;

static box *to_box(lua_State *L, int i) {
    box *b = lua_touserdata(L, i);
    if (b && lua_getmetatable(L, i)) {
        lua_pushlightuserdata(L, (void *)&class_key);
        lua_rawget(L, LUA_REGISTRYINDEX);
        if (!lua_rawequal(L, -1, -2)) b = NULL;
        lua_pop(L, 2);
    } else {
        b = NULL;
    }
    if (!b) luaL_argerror(L, i, "message expected, made by core.message");
    return b;
}

static box *to_open(lua_State *L, int i) {
    box *b = to_box(L, i);
    if (!b->m) luaL_error(L, "this message is closed");
    return b;
}

static box *to_free(lua_State *L, int i) {
    box *b = to_open(L, i);
    if (b->held) luaL_error(L, "this message is being sent: wait for its result");
    return b;
}

dm_message *dm_tomessage(lua_State *L, int i) { return to_open(L, i)->m; }

void dm_holdmessage(lua_State *L, int i, const void *owner) {
    box *b = to_open(L, i);
    if (b->held && b->owner != owner) luaL_error(L, "this message is being sent by another engine: wait for its result");
    b->owner = owner;
    b->held++;
}

void dm_dropmessage(lua_State *L, int i) {
    box *b = to_box(L, i);
    if (b->held > 0) b->held--;
}

void dm_pushreader(lua_State *L, int message, int reader) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, to_open(L, message)->kept);
    lua_rawgeti(L, -1, reader);
    lua_remove(L, -2);
}

/* ---- tables into dm_mail -------------------------------------------------
** Raw access only: what a metamethod returned would not be kept alive by the
** table, and the views below point into its strings.
*/

static void push_field(lua_State *L, int t, const char *key) {
    lua_pushstring(L, key);
    lua_rawget(L, t);
}

/* The string at the top, popped; nil is {NULL, 0}. */
static dm_view pop_view(lua_State *L, const char *what) {
    dm_view v = {NULL, 0};
    if (lua_type(L, -1) == LUA_TSTRING) v.p = lua_tolstring(L, -1, &v.n);
    else if (!lua_isnil(L, -1)) luaL_error(L, "%s must be a string, not a %s", what, luaL_typename(L, -1));
    lua_pop(L, 1);
    return v;
}

static dm_view field_view(lua_State *L, int t, const char *key) {
    push_field(L, t, key);
    return pop_view(L, key);
}

static dm_view item_view(lua_State *L, int t, size_t i, const char *what) {
    lua_rawgeti(L, t, (int)i);
    if (lua_isnil(L, -1)) luaL_error(L, "%s is missing", what);
    return pop_view(L, what);
}

/* The list t[key] onto the stack, nil when there is none; its length. */
static size_t push_list(lua_State *L, int t, const char *key) {
    push_field(L, t, key);
    if (lua_isnil(L, -1)) return 0;
    if (!lua_istable(L, -1)) luaL_error(L, "%s must be a list, not a %s", key, luaL_typename(L, -1));
    return dm_rawlen(L, -1);
}

/* The table t[i] onto the stack. */
static void push_item(lua_State *L, int t, size_t i, const char *what) {
    lua_rawgeti(L, t, (int)i);
    if (!lua_istable(L, -1)) luaL_error(L, "%s %d must be a table, not a %s", what, (int)i, luaL_typename(L, -1));
}

/* Memory that the garbage collector takes back, whatever is raised meanwhile. */
static void *push_array(lua_State *L, size_t n, size_t size) { return dm_newblock(L, n * size + 1); }

static dm_mailbox *read_mailboxes(lua_State *L, int t, size_t *count) {
    size_t n = dm_rawlen(L, t);
    dm_mailbox *boxes = push_array(L, n, sizeof *boxes);        /* stays on the stack */
    for (size_t i = 0; i < n; i++) {
        push_item(L, t, i + 1, "mailbox");
        int at = lua_gettop(L);
        boxes[i] = (dm_mailbox){field_view(L, at, "name"), field_view(L, at, "address"), 0, 0};
        lua_pop(L, 1);
    }
    *count = n;
    return boxes;
}

static void read_field(lua_State *L, int t, dm_field *f) {
    f->name = item_view(L, t, 1, "a header field's name");
    dm_view kind = item_view(L, t, 2, "a header field's kind");
    f->mailboxes = NULL;
    f->count = 0;
    f->value = (dm_view){NULL, 0};
    if (dm_view_is(kind, "mailboxes")) {
        f->kind = DM_FIELD_MAILBOXES;
        lua_rawgeti(L, t, 3);
        if (!lua_istable(L, -1)) luaL_error(L, "a header field of mailboxes needs a list, not a %s", luaL_typename(L, -1));
        int list = lua_gettop(L);
        f->mailboxes = read_mailboxes(L, list, &f->count);
        lua_remove(L, list);    /* the field keeps the list; the array stays */
        return;
    }
    if (dm_view_is(kind, "text")) f->kind = DM_FIELD_TEXT;
    else if (dm_view_is(kind, "tokens")) f->kind = DM_FIELD_TOKENS;
    else if (dm_view_is(kind, "exact")) f->kind = DM_FIELD_EXACT;
    else luaL_error(L, "a header field's kind is text, tokens, exact or mailboxes, not '%s'", kind.p);
    f->value = item_view(L, t, 3, "a header field's value");
}

static dm_field *read_fields(lua_State *L, size_t *count) {
    size_t n = push_list(L, 1, "fields");
    int list = lua_gettop(L);
    dm_field *fields = push_array(L, n, sizeof *fields);
    for (size_t i = 0; i < n; i++) {
        luaL_checkstack(L, 8, "too many header fields");
        push_item(L, list, i + 1, "header field");
        int at = lua_gettop(L);
        read_field(L, at, &fields[i]);
        lua_remove(L, at);
    }
    *count = n;
    return fields;
}

static dm_view *read_recipients(lua_State *L, size_t *count) {
    size_t n = push_list(L, 1, "rcpt_to");
    int list = lua_gettop(L);
    dm_view *to = push_array(L, n, sizeof *to);
    for (size_t i = 0; i < n; i++) to[i] = item_view(L, list, i + 1, "a recipient");
    *count = n;
    return to;
}

/* The list at 'kept' gets the part's data or reader. */
static void read_part(lua_State *L, int t, int kept, size_t i, dm_part *p) {
    p->name = field_view(L, t, "name");
    p->type = field_view(L, t, "type");
    p->cid = field_view(L, t, "cid");
    p->data = field_view(L, t, "data");
    p->reader = -1;
    p->size = 0;
    if (p->data.p) {
        push_field(L, t, "data");
    } else {
        push_field(L, t, "size");
        lua_Number size = lua_tonumber(L, -1);
        if (lua_type(L, -1) != LUA_TNUMBER || size < 0 || size > 9007199254740992.0 || size != (lua_Number)(uint64_t)size)
            luaL_error(L, "part %d needs data, or a reader and its size in octets", (int)i);
        lua_pop(L, 1);
        p->reader = (int)i;
        p->size = (uint64_t)size;
        push_field(L, t, "reader");
        if (lua_isnil(L, -1)) luaL_error(L, "part %d needs data, or a reader and its size in octets", (int)i);
    }
    lua_rawseti(L, kept, (int)i);
}

/* Leaves the list of what must be kept at the top. */
static dm_part *read_parts(lua_State *L, size_t *count) {
    size_t n = push_list(L, 1, "parts");
    int list = lua_gettop(L);
    dm_part *parts = push_array(L, n, sizeof *parts);
    if (n > 0) lua_createtable(L, (int)n, 0);
    else lua_pushnil(L);
    int kept = lua_gettop(L);
    for (size_t i = 0; i < n; i++) {
        push_item(L, list, i + 1, "part");
        read_part(L, kept + 1, kept, i + 1, &parts[i]);
        lua_pop(L, 1);
    }
    *count = n;
    return parts;
}

/***
Lay out a message: headers and texts are encoded at once, attachments when they are pulled (RFC 5322, RFC 2045).
@function core.message
@tparam table mail `{mail_from=, rcpt_to={address…}, all_or_none=bool, fields={{name, "text"|"tokens"|"exact", value} |
  {name, "mailboxes", {{name=, address=}…}}…}, text=, html=, calendar=, calendar_method=,
  parts={{name=, type=, cid=, data=} | {name=, type=, cid=, reader=object, size=octets}…}, boundary=}`,
  or `raw=` a whole message instead of all but the envelope. Texts and names are UTF-8; fields with metamethods are not seen.
@treturn message or nil and {code=, field=, detail=}: HEADER, CONTENT, SIZE, ADDRESS or OPTION
*/
static int message_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    box *b = dm_newblock(L, sizeof *b);
    memset(b, 0, sizeof *b);    /* valid and closed before anything can fail */
    b->kept = LUA_NOREF;
    dm_buf_init(&b->out, SIZE_MAX / 2);
    lua_pushlightuserdata(L, (void *)&class_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_setmetatable(L, 2);

    dm_mail mail;
    memset(&mail, 0, sizeof mail);
    mail.mail_from = field_view(L, 1, "mail_from");
    mail.text = field_view(L, 1, "text");
    mail.html = field_view(L, 1, "html");
    mail.calendar = field_view(L, 1, "calendar");
    mail.calendar_method = field_view(L, 1, "calendar_method");
    mail.raw = field_view(L, 1, "raw");
    mail.boundary = field_view(L, 1, "boundary");
    mail.rcpt_to = read_recipients(L, &mail.rcpt_count);
    push_field(L, 1, "all_or_none");
    mail.all_or_none = lua_toboolean(L, -1);
    lua_pop(L, 1);
    mail.fields = read_fields(L, &mail.field_count);
    luaL_checkstack(L, 8, "too many header fields");
    mail.parts = read_parts(L, &mail.part_count);
    if (mail.part_count > 0) b->kept = dm_keep(L, -1);

    dm_error err;
    dm_code code = dm_message_new(&b->m, &mail, &err);
    if (code == DM_E_MEMORY) return luaL_error(L, "not enough memory");
    if (code != DM_OK) {
        dm_unkeep(L, &b->kept);
        lua_pushnil(L);
        dm_pusherror(L, &err);
        return 2;
    }
    lua_settop(L, 2);
    return 1;
}

/* ---- methods -------------------------------------------------------------*/

/***
Octets of the final message, before dot-stuffing.
@function message:size
*/
static int message_size(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)dm_message_size(to_open(L, 1)->m));
    return 1;
}

/***
Whether it holds octets over 127 (raw mail, message/rfc822 parts).
@function message:is_8bit
*/
static int message_is_8bit(lua_State *L) {
    lua_pushboolean(L, dm_message_8bit(to_open(L, 1)->m));
    return 1;
}

/***
The addresses of the SMTP envelope.
@function message:envelope
@return mail_from, list of recipients
*/
static int message_envelope(lua_State *L) {
    const dm_message *m = to_open(L, 1)->m;
    size_t n = dm_message_rcpt_count(m);
    dm_pushview(L, dm_message_mail_from(m));
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        dm_pushview(L, dm_message_rcpt(m, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 2;
}

/***
The next piece of the message.
@function message:pull
@tparam integer max octets, about
@return "bytes", chunk
@return "body", reader, want: bring up to `want` octets of the reader with `body`, then pull again
@return "end"; or nil and {code="FILE", …} after `body` failed
*/
static int message_pull(lua_State *L) {
    box *b = to_free(L, 1);
    lua_Integer max = dm_checkinteger(L, 2);
    luaL_argcheck(L, max > 0, 2, "a number of octets over 0 expected");
    dm_code code = DM_OK;
    size_t want = 0;
    if (b->out.n < (size_t)max) code = dm_message_pull(b->m, &b->out, (size_t)max - b->out.n, &b->reader, &want);
    if (code == DM_E_MEMORY || code == DM_E_SIZE) return luaL_error(L, "not enough memory");
    if (code == DM_E_FILE) {
        dm_error err;
        lua_pushnil(L);
        dm_fail(&err, code, "", "the reader of attachment %d did not bring the octets that were promised", b->reader);
        dm_pusherror(L, &err);
        return 2;
    }
    if (b->out.n > 0) {
        lua_pushliteral(L, "bytes");
        dm_pushview(L, dm_buf_view(&b->out));
        b->out.n = 0;
        return 2;
    }
    if (code == DM_AGAIN) {
        lua_pushliteral(L, "body");
        dm_pushreader(L, 1, b->reader);
        lua_pushinteger(L, (lua_Integer)want);
        return 3;
    }
    dm_buf_clear(&b->out);
    lua_pushliteral(L, "end");
    return 1;
}

/***
Bytes of the reader that `pull` asked for, any number of them; nil at its end.
@function message:body
@treturn true or nil and {code="FILE", field="attachment 2", detail=}: more or fewer than its size
*/
static int message_body(lua_State *L) {
    box *b = to_free(L, 1);
    bool ends = lua_isnoneornil(L, 2);
    dm_code code = ends ? dm_message_body_end(b->m, &b->out) : dm_message_body(b->m, &b->out, dm_checkview(L, 2));
    if (code == DM_E_OPTION) return luaL_error(L, "no reader was asked for bytes: pull first");
    if (code == DM_E_MEMORY || code == DM_E_SIZE) return luaL_error(L, "not enough memory");
    if (code != DM_OK) {
        dm_error err;
        char field[32] = "";
        lua_pushfstring(L, "attachment %d", b->reader);
        strncat(field, lua_tostring(L, -1), sizeof field - 1);
        lua_pushnil(L);
        dm_fail(&err, code, field, ends ? "fewer octets came than promised: was it changed meanwhile?"
                                        : "more octets came than promised: was it changed meanwhile?");
        dm_pusherror(L, &err);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/***
Begin again at the first octet.
@function message:rewind
*/
static int message_rewind(lua_State *L) {
    box *b = to_free(L, 1);
    dm_message_rewind(b->m);
    b->out.n = 0;
    return 0;
}

static void close_box(lua_State *L, box *b) {
    dm_message_free(b->m);
    b->m = NULL;
    dm_buf_clear(&b->out);
    dm_unkeep(L, &b->kept);
}

/***
Free it now; the garbage collector would do it later.
@function message:close
*/
static int message_close(lua_State *L) {
    box *b = to_box(L, 1);
    if (b->m && b->held) return luaL_error(L, "this message is being sent: wait for its result");
    close_box(L, b);
    return 0;
}

static int message_gc(lua_State *L) {
    close_box(L, luaL_checkudata(L, 1, MESSAGE));       /* whoever holds it keeps it reachable, or is gone too */
    return 0;
}

void dm_open_message(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"size", message_size}, {"is_8bit", message_is_8bit}, {"envelope", message_envelope}, {"pull", message_pull},
        {"body", message_body}, {"rewind", message_rewind}, {"close", message_close}, {NULL, NULL},
    };
    dm_newclass(L, MESSAGE, methods, message_gc);
    lua_pushlightuserdata(L, (void *)&class_key);
    luaL_getmetatable(L, MESSAGE);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, message_new);
    lua_setfield(L, -2, "message");
}
