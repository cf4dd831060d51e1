/* route.c - the regions for Lua: which to take, which there are, whose host a name is. */
#include "core.h"

enum { MAX_RESIDENCY = 32 };    /* there are fewer countries with a region than that */

/* A field of the table at 1: its string stays on the stack, so the view lives as long. */
static dm_view text_field(lua_State *L, const char *name) {
    dm_view v = {NULL, 0};
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) return v;
    if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "field '%s' must be a string", name);
    v.p = lua_tolstring(L, -1, &v.n);
    return v;
}

static size_t split(lua_State *L, dm_view list, dm_view *out) {
    size_t count = 0;
    for (size_t i = 0; i < list.n;) {
        size_t from = i;
        while (i < list.n && list.p[i] != ',' && list.p[i] != ' ') i++;
        if (i > from) {
            if (count == MAX_RESIDENCY) luaL_error(L, "field 'residency' has more than %d countries", MAX_RESIDENCY);
            out[count].p = list.p + from;
            out[count++].n = i - from;
        }
        i++;
    }
    return count;
}

/* A list of country codes, or one string "sg,de". */
static size_t residency_field(lua_State *L, dm_view *out) {
    lua_getfield(L, 1, "residency");
    int at = lua_gettop(L);
    if (lua_isnil(L, at)) return 0;
    if (lua_type(L, at) == LUA_TSTRING) return split(L, dm_checkview(L, at), out);
    if (!lua_istable(L, at)) luaL_error(L, "field 'residency' must be a list or a string");
    size_t count = dm_rawlen(L, at);
    if (count > MAX_RESIDENCY) luaL_error(L, "field 'residency' has more than %d countries", MAX_RESIDENCY);
    luaL_checkstack(L, MAX_RESIDENCY, "too many countries");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, at, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "field 'residency' must hold strings");
        out[i].p = lua_tolstring(L, -1, &out[i].n);
    }
    return count;
}

static void set_text(lua_State *L, const char *name, const char *text) {
    if (!text) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/***
Choose a region (design: Route).
@function route
@tparam table request `{deployed=, recipients=, via=, residency={}|string|nil, ecs=boolean|nil}`
@treturn table|nil `{region=, api=, smtp=, ports={{port=, tls="implicit"|"starttls"}…}, reasons={{rule=, text=}…}}`
@treturn table `{code="OPTION", field=, detail=}`
*/
static int route(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    dm_view residency[MAX_RESIDENCY];
    dm_route_request in;
    in.deployed = text_field(L, "deployed");
    in.recipients = text_field(L, "recipients");
    in.via = text_field(L, "via");
    in.residency = residency;
    in.residency_count = residency_field(L, residency);
    lua_getfield(L, 1, "ecs");
    in.ecs = lua_isnil(L, -1) ? -1 : lua_toboolean(L, -1);

    dm_route out;
    dm_error err;
    dm_code code = dm_route_choose(&out, &in, &err);
    if (code != DM_OK) {
        lua_pushnil(L);
        lua_newtable(L);
        set_text(L, "code", dm_code_name(code));
        set_text(L, "field", err.field);
        set_text(L, "detail", err.detail);
        return 2;
    }
    lua_newtable(L);
    set_text(L, "region", out.region->id);
    set_text(L, "api", out.region->api);
    set_text(L, "smtp", out.region->smtp);
    lua_newtable(L);
    for (size_t i = 0; i < out.port_count; i++) {
        lua_newtable(L);
        lua_pushinteger(L, out.ports[i].port);
        lua_setfield(L, -2, "port");
        set_text(L, "tls", out.ports[i].tls == DM_TLS_IMPLICIT ? "implicit" : "starttls");
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "ports");
    lua_newtable(L);
    for (size_t i = 0; i < out.reason_count; i++) {
        lua_newtable(L);
        set_text(L, "rule", out.reasons[i].rule);
        set_text(L, "text", out.reasons[i].text);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "reasons");
    return 1;
}

/***
All regions.
@function regions
@treturn {table,...} `{id=, name=, api=, api_vpc=, smtp=, smtp_legacy=, data=, open=}`; hosts that do not exist are nil,
  `data` is the country where the data lie, nil when the vendor's pages disagree
*/
static int regions(lua_State *L) {
    size_t count;
    const dm_region *r = dm_regions(&count);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_newtable(L);
        set_text(L, "id", r[i].id);
        set_text(L, "name", r[i].name);
        set_text(L, "api", r[i].api);
        set_text(L, "api_vpc", r[i].api_vpc);
        set_text(L, "smtp", r[i].smtp);
        set_text(L, "smtp_legacy", r[i].smtp_legacy);
        set_text(L, "data", r[i].data[0] ? r[i].data : NULL);
        lua_pushboolean(L, r[i].open);
        lua_setfield(L, -2, "open");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/***
Whose host is it?
@function region_of_host
@tparam string host
@treturn string|nil region id
@treturn boolean a legacy SMTP host
*/
static int region_of_host(lua_State *L) {
    bool legacy;
    const dm_region *r = dm_region_of_host(dm_checkview(L, 1), &legacy);
    if (!r) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushstring(L, r->id);
    lua_pushboolean(L, legacy);
    return 2;
}

void dm_open_route(lua_State *L) {
    static const luaL_Reg list[] = {
        {"route", route},
        {"regions", regions},
        {"region_of_host", region_of_host},
        {NULL, NULL},
    };
    dm_setfuncs(L, list);
}
