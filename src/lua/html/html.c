/***
HTML as a list of events, read by gumbo: the way in for everything that looks at a mail's HTML.
@module directmail.html
*/
#include "html.h"

#include "compat.h"

#define DM_HTML "directmail.html"

DM_EXPORT int luaopen_directmail_html(lua_State *L);

static int l_close(lua_State *L) {
    dm_html **box = luaL_checkudata(L, 1, DM_HTML);
    dm_html_free(*box);
    *box = NULL;
    return 0;
}

static void set_view(lua_State *L, const char *key, dm_view v) {
    dm_pushview(L, v);
    lua_setfield(L, -2, key);
}

static void push_event(lua_State *L, const dm_html_event *e) {
    static const char *const kinds[] = {"open", "close", "text", "comment", "doctype"};
    lua_createtable(L, 0, e->kind == DM_HTML_OPEN ? 5 : 4);
    lua_pushstring(L, kinds[e->kind]);
    lua_setfield(L, -2, "kind");
    if (e->kind == DM_HTML_OPEN || e->kind == DM_HTML_CLOSE) set_view(L, "name", e->name);
    if (e->kind == DM_HTML_TEXT || e->kind == DM_HTML_COMMENT) set_view(L, "text", e->text);
    if (e->kind == DM_HTML_DOCTYPE) set_view(L, "text", e->name);
    if (e->line > 0) {
        lua_pushinteger(L, (lua_Integer)e->line);
        lua_setfield(L, -2, "line");
        lua_pushinteger(L, (lua_Integer)e->column);
        lua_setfield(L, -2, "column");
    }
    if (e->implied) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "implied");
    }
    if (e->kind != DM_HTML_OPEN) return;
    lua_createtable(L, 0, (int)e->attributes);
    for (size_t i = 0; i < e->attributes; i++) {
        dm_view name, value;
        dm_html_attribute(e, i, &name, &value);
        dm_pushview(L, name);
        dm_pushview(L, value);
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "attributes");
}

/*** The events of a document or a fragment, in document order.
Every `open` has its `close`, also that of `<br>`, so that a stack of open elements stays even. What the parser repairs is told as
repaired: a missing html, head, body or tbody is there with `implied`, a stray end tag is not there at all.
@function events
@tparam string bytes HTML in UTF-8; other octets become U+FFFD
@treturn table list of
  `{ kind="open", name="a", attributes={href=…}, line=, column=, implied=true|nil }` (names in lower case, the first of equal attributes;
  `implied`: the source does not have this tag),
  `{ kind="close", name="a", line=, column=, implied=true|nil }` (`line` only where an end tag stands; `implied`: it should, and does not),
  `{ kind="text", text=, line=, column= }`, `{ kind="comment", text=, line=, column= }` (entities decoded; the contents of title, style
  and script are texts, those of `<template>` stand inside its element), `{ kind="doctype", text="html" }`.
  Lines and columns (in characters) count from 1.
@treturn string when nil comes first: why not, as the end of "the HTML cannot be read: …" (over a limit of limits.tsv, html_*)
*/
static int l_events(lua_State *L) {
    const dm_html_limits *limits = lua_touserdata(L, lua_upvalueindex(1));
    dm_html_event event;
    char why[128];
    dm_view in = dm_checkview(L, 1);
    lua_settop(L, 1);                           /* the document stays on the stack: the events point into it */
    dm_html **box = dm_newblock(L, sizeof *box);
    *box = NULL;                                /* frees itself when Lua has no memory for the list */
    dm_setclass(L, DM_HTML);
    *box = dm_html_parse(in, limits, why);
    if (!*box) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    lua_newtable(L);
    for (int n = 1; dm_html_next(*box, &event); n++) {
        push_event(L, &event);
        lua_rawseti(L, -2, n);
    }
    dm_html_free(*box);
    *box = NULL;
    return 1;
}

/* A limit out of directmail.data.limits, which is on top. */
static size_t limit(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    lua_Integer n = dm_checkinteger(L, -1);
    lua_pop(L, 1);
    return (size_t)n;
}

int luaopen_directmail_html(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    dm_newclass(L, DM_HTML, methods, l_close);
    lua_newtable(L);
    dm_html_limits *limits = dm_newblock(L, sizeof *limits);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "directmail.data.limits");
    lua_call(L, 1, 1);
    *limits = (dm_html_limits){.octets = limit(L, "html_octets"), .memory = limit(L, "html_memory"), .nodes = (unsigned)limit(L, "html_nodes"),
                               .depth = (unsigned)limit(L, "html_depth"), .attributes = (unsigned)limit(L, "html_attributes")};
    lua_pop(L, 1);
    lua_pushcclosure(L, l_events, 1);
    lua_setfield(L, -2, "events");
    return 1;
}
