/* dns.c - questions to DNS servers, and their answers as tables. */
#include "net.h"

#include "dns.h"

#define LOOKUP "directmail.lookup"

static const struct {
    const char *name;
    int type;
} types[] = {{"A", DM_DNS_A}, {"AAAA", DM_DNS_AAAA}, {"MX", DM_DNS_MX}, {"TXT", DM_DNS_TXT},
             {"CNAME", DM_DNS_CNAME}, {"NS", DM_DNS_NS}, {"SOA", DM_DNS_SOA}};

enum { TYPES = sizeof types / sizeof *types };

static const char *name_of(int type) {
    size_t i = 0;
    while (i + 1 < TYPES && types[i].type != type) i++;
    return types[i].name;
}

/*** Ask a DNS server.
@function dns
@tparam string name as in DNS: A-labels, no last dot
@tparam string type A AAAA MX TXT CNAME NS SOA
@tparam number seconds time limit
@tparam[opt] string ip of the server; without it those of the system are asked
@tparam[opt] integer port of the server
@return a look-up; or nil, why
*/
static int dns(lua_State *L) {
    const char *name = dm_checktext(L, 1), *type = dm_checktext(L, 2);
    double seconds = luaL_checknumber(L, 3);
    const char *ip = dm_opttext(L, 4);
    int port = ip ? dm_checkport(L, 5) : 0;
    size_t i = 0;
    while (i < TYPES && strcmp(types[i].name, type) != 0) i++;
    if (i == TYPES) return luaL_argerror(L, 2, "type of record expected");
    dm_loop *l = dm_checkloop(L);
    dm_why why;
    dm_lookup **box = dm_newblock(L, sizeof *box);
    *box = NULL;
    dm_setclass(L, LOOKUP);
    *box = dm_lookup_start(l, name, types[i].type, seconds > 0 ? seconds : 0, ip, port, &why);
    if (!*box) return dm_pushwhy(L, &why);
    return 1;
}

/*** The number of its wait, which the answer or the time limit ends.
@function lookup:wait
@treturn ?integer nil: it is over
*/
static int lookup_wait(lua_State *L) {
    dm_lookup **box = luaL_checkudata(L, 1, LOOKUP);
    unsigned id = *box ? dm_lookup_wait(*box) : 0;
    if (id == 0) return 0;
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

static int lookup_close(lua_State *L) {
    dm_lookup **box = luaL_checkudata(L, 1, LOOKUP);
    dm_lookup *q = *box;
    *box = NULL;
    dm_lookup_free(q);
    return 0;
}

static void set(lua_State *L, const char *field, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_number(lua_State *L, const char *field, unsigned long n) {
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, field);
}

static void push_record(lua_State *L, const dm_record *r) {
    static const char *const numbers[] = {"serial", "refresh", "retry", "expire", "minimum"};
    lua_newtable(L);
    set(L, "owner", r->owner);
    set(L, "type", name_of(r->type));
    set_number(L, "ttl", r->ttl);
    switch (r->type) {
    case DM_DNS_A: case DM_DNS_AAAA: set(L, "address", r->address); break;
    case DM_DNS_MX:
        set(L, "exchange", r->name);
        set_number(L, "preference", r->preference);
        break;
    case DM_DNS_TXT:
        lua_pushlstring(L, r->text, r->text_size);
        lua_setfield(L, -2, "text");
        break;
    case DM_DNS_SOA:
        set(L, "mailbox", r->mailbox);
        for (int i = 0; i < 5; i++) set_number(L, numbers[i], r->number[i]);
        set(L, "name", r->name);
        break;
    default: set(L, "name", r->name);
    }
}

/*** Take the answer when the wait is over; then it is closed.
@function lookup:finish
@return list of the records in the answer section, `owner`, `type`, `ttl` and by type `address`; `preference`, `exchange`; `text`; `name`; SOA:
`name`, `mailbox`, `serial`, `refresh`, `retry`, `expire`, `minimum`; or nil and why: "nxdomain", "nodata", "timeout", "servfail", "refused" or words
*/
static int lookup_finish(lua_State *L) {
    dm_lookup **box = luaL_checkudata(L, 1, LOOKUP);
    dm_why why;
    if (!*box) return luaL_error(L, "this look-up is closed");
    if (!dm_lookup_answer(*box, &why)) {
        lookup_close(L);
        return dm_pushwhy(L, &why);
    }
    dm_record *r = dm_newblock(L, sizeof *r);
    lua_newtable(L);
    int got, n = 0;
    while ((got = dm_lookup_next(*box, r, &why)) > 0) {
        push_record(L, r);
        lua_rawseti(L, -2, ++n);
    }
    lookup_close(L);
    return got < 0 ? dm_pushwhy(L, &why) : 1;
}

void dm_open_dns(lua_State *L) {
    static const luaL_Reg methods[] = {{"wait", lookup_wait}, {"finish", lookup_finish}, {"close", lookup_close}, {NULL, NULL}};
    dm_newclass(L, LOOKUP, methods, lookup_close);
    lua_pushcfunction(L, dns);
    lua_setfield(L, -2, "dns");
}
