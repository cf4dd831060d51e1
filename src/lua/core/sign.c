/* sign.c - core.sign, core.sign_call and the hashes beside them, for Lua. */
#include "core.h"

#include <stdio.h>

#define BOX "directmail.core.sign"

enum { LIMIT = 64 << 20 };

/* One a Lua state, an upvalue of every function here. Filled at first use: libcrypto
** reads its configuration then, and a script that only speaks SMTP should not wait for it. */
typedef struct box {
    dm_signer *signer;
    dm_digest *digest;
    dm_buf out;                 /* here and not on the C stack, so that an error of Lua cannot leak it */
} box;

static int box_close(lua_State *L) {
    box *b = luaL_checkudata(L, 1, BOX);
    dm_signer_free(b->signer);
    dm_digest_free(b->digest);
    dm_buf_wipe(&b->out);
    b->signer = NULL;
    b->digest = NULL;
    return 0;
}

static box *get_box(lua_State *L) {
    box *b = lua_touserdata(L, lua_upvalueindex(1));
    b->out.n = 0;
    if (b->out.code != DM_OK) dm_buf_clear(&b->out);
    return b;
}

static dm_signer *get_signer(lua_State *L) {
    box *b = get_box(L);
    if (!b->signer) b->signer = dm_signer_new();
    if (!b->signer) luaL_error(L, "libcrypto is out of memory, or was built without SHA-1 and SHA-256");
    return b->signer;
}

static dm_digest *get_digest(lua_State *L) {
    box *b = get_box(L);
    if (!b->digest) b->digest = dm_digest_new();
    if (!b->digest) luaL_error(L, "libcrypto is out of memory, or was built without SHA-256");
    return b->digest;
}

/* ---- hashes -------------------------------------------------------------*/

static int push_out(lua_State *L, box *b) {
    if (b->out.code == DM_E_SIZE) return luaL_error(L, "the result is larger than %d MiB", LIMIT >> 20);
    if (b->out.code != DM_OK) return luaL_error(L, "not enough memory");
    dm_pushview(L, dm_buf_view(&b->out));
    return 1;
}

/***
Percent-encode as request signing wants it (RFC 3986, section 2): A-Z a-z 0-9 - _ . ~ stay.
@function percent
@tparam string s any octets
@treturn string
*/
static int l_percent(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    box *b = get_box(L);
    dm_percent(&b->out, in);
    return push_out(L, b);
}

/***
SHA-256 in small hex digits.
@function sha256
@tparam string s any octets
@treturn string 64 characters
*/
static int l_sha256(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    unsigned char hash[DM_SHA256_SIZE];
    dm_digest *d = get_digest(L);
    box *b = get_box(L);
    if (dm_digest_sha256(d, in, hash) != DM_OK) return luaL_error(L, "not enough memory");
    dm_hex(&b->out, (dm_view){(const char *)hash, sizeof hash});
    return push_out(L, b);
}

/***
HMAC-SHA-256 (RFC 2104), raw.
@function hmac_sha256
@tparam string key
@tparam string s any octets
@treturn string 32 octets
*/
static int l_hmac_sha256(lua_State *L) {
    dm_view key = dm_checkview(L, 1), in = dm_checkview(L, 2);
    unsigned char mac[DM_SHA256_SIZE];
    if (dm_digest_hmac(get_digest(L), DM_SHA256, key, in, mac) != DM_OK) return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)mac, sizeof mac);
    return 1;
}

/***
Compare two secrets in a time that depends on their lengths only. A value that is no
string raises, so that a secret nobody has set is never equal to one nobody has sent.
@function same
@tparam string a
@tparam string b
@treturn boolean
*/
static int l_same(lua_State *L) {
    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_pushboolean(L, dm_same(dm_checkview(L, 1), dm_checkview(L, 2)));
    return 1;
}

/* ---- tables in ----------------------------------------------------------*/

static int push_error(lua_State *L, const dm_error *err) {
    if (err->code == DM_E_MEMORY) return luaL_error(L, "%s", err->detail);
    lua_pushnil(L);
    dm_pusherror(L, err);
    return 2;
}

/* The string in field 'name' of the table at 1; the field stays on the stack, so the view
** stays alive. A number is refused: Lua 5.4 would spell JSON's 1 as "1.0". */
static dm_code text_field(lua_State *L, const char *name, bool needed, dm_view *out, dm_error *err) {
    lua_getfield(L, 1, name);
    *out = (dm_view){NULL, 0};
    if (lua_isnil(L, -1)) return needed ? dm_fail(err, DM_E_OPTION, name, "it is missing") : DM_OK;
    if (lua_type(L, -1) != LUA_TSTRING)
        return dm_fail(err, DM_E_OPTION, name, "a string is needed, not a %s", luaL_typename(L, -1));
    *out = dm_checkview(L, -1);
    return DM_OK;
}

static bool is_host(dm_view name) { return dm_view_same(name, "host"); }

/* The table of strings in field 'name', as pairs in a userdata; both stay on the stack.
** There is room for one pair more. */
static dm_code pairs_field(lua_State *L, const char *name, bool needed, dm_pair **out, size_t *n, dm_error *err) {
    lua_getfield(L, 1, name);
    *out = NULL;
    *n = 0;
    int table = lua_gettop(L);
    size_t count = 0;
    if (lua_istable(L, table)) {
        for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) count++;
    } else if (!lua_isnil(L, table)) {
        return dm_fail(err, DM_E_OPTION, name, "an object of strings is needed, not a %s", luaL_typename(L, table));
    } else if (needed) {
        return dm_fail(err, DM_E_OPTION, name, "it is missing");
    }
    dm_pair *pairs = dm_newblock(L, (count + 1) * sizeof *pairs);
    *out = pairs;
    if (!lua_istable(L, table)) return DM_OK;
    for (lua_pushnil(L); lua_next(L, table) && *n < count; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) return dm_fail(err, DM_E_OPTION, name, "an object by name is needed, not a list");
        dm_view key = dm_checkview(L, -2);
        if (lua_type(L, -1) != LUA_TSTRING) {
            char field[64];
            snprintf(field, sizeof field, "%s.%s", name, key.p);
            for (char *p = field; *p; p++)
                if (*p <= ' ' || *p > '~') *p = '?';
            return dm_fail(err, DM_E_OPTION, field, "a string is needed, not a %s (signed is the text as it is sent: \"1\", \"true\", Name.1)",
                           lua_isnil(L, -1) || lua_islightuserdata(L, -1) ? "null" : luaL_typename(L, -1));
        }
        pairs[(*n)++] = (dm_pair){key, dm_checkview(L, -1)};    /* the table keeps both strings */
    }
    return DM_OK;
}

static dm_code scheme_field(lua_State *L, dm_scheme *out, dm_error *err) {
    dm_view v;
    dm_code code = text_field(L, "algorithm", true, &v, err);
    if (code != DM_OK) return code;
    for (*out = DM_SIGN_V1; *out <= DM_SIGN_V3; ++*out)
        if (dm_view_is(v, dm_scheme_name(*out))) return DM_OK;
    return dm_fail(err, DM_E_OPTION, "algorithm", "it is neither \"%s\" nor \"%s\"", dm_scheme_name(DM_SIGN_V1), dm_scheme_name(DM_SIGN_V3));
}

/* body, or body_base64 decoded into 'scratch'. */
static dm_code body_field(lua_State *L, dm_buf *scratch, dm_view *out, dm_error *err) {
    dm_view encoded;
    dm_code code = text_field(L, "body", false, out, err);
    if (code == DM_OK) code = text_field(L, "body_base64", false, &encoded, err);
    if (code != DM_OK || !encoded.p) return code;
    if (out->p) return dm_fail(err, DM_E_OPTION, "body_base64", "it stands beside body; give one of the two");
    code = dm_base64_decode(scratch, encoded);
    if (code == DM_E_MEMORY) return dm_fail(err, code, "", "not enough memory");
    if (code == DM_E_SIZE) return dm_fail(err, code, "body_base64", "it is larger than %d MiB", LIMIT >> 20);
    if (code != DM_OK) return dm_fail(err, DM_E_CONTENT, "body_base64", "it is not base64");
    *out = dm_buf_view(scratch);
    return DM_OK;
}

static void set_view(lua_State *L, const char *name, dm_view v) {
    if (!v.p) return;
    dm_pushview(L, v);
    lua_setfield(L, -2, name);
}

/* ---- signatures ---------------------------------------------------------*/

/***
Compute every string of a request's signature.
@function sign
@tparam table request `algorithm` ("HMAC-SHA1" or "ACS3-HMAC-SHA256"), `access_key_secret`,
 `http_method`; V1: `params`; V3: `query`, `headers` (signed as given, `host` added when it is
 not among them), `host`, `path`, `body` or `body_base64`, `access_key_id`. All values are strings.
@treturn[1] table `canonical_query`, `string_to_sign`, `signature`; V3 also `canonical_request`,
 `hashed_payload`, and `authorization` when there is an `access_key_id`
@treturn[2] nil
@treturn[2] table `code`, `field`, `detail`
*/
static int l_sign(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 24, "sign");
    dm_signer *signer = get_signer(L);
    box *b = get_box(L);
    dm_request in = {.scheme = DM_SIGN_V1};
    dm_key key = {.id = {NULL, 0}};
    dm_signed out;
    dm_error err = {.code = DM_OK};
    dm_pair *pairs = NULL;

    if (scheme_field(L, &in.scheme, &err) != DM_OK || text_field(L, "access_key_id", false, &key.id, &err) != DM_OK ||
        text_field(L, "access_key_secret", true, &key.secret, &err) != DM_OK ||
        text_field(L, "http_method", true, &in.method, &err) != DM_OK)
        return push_error(L, &err);
    if (in.scheme == DM_SIGN_V1) {
        if (pairs_field(L, "params", true, &pairs, &in.param_count, &err) != DM_OK) return push_error(L, &err);
        in.params = pairs;
    } else {
        dm_view host;
        if (pairs_field(L, "query", false, &pairs, &in.param_count, &err) != DM_OK) return push_error(L, &err);
        in.params = pairs;
        if (pairs_field(L, "headers", false, &pairs, &in.header_count, &err) != DM_OK || text_field(L, "host", false, &host, &err) != DM_OK ||
            text_field(L, "path", false, &in.path, &err) != DM_OK || body_field(L, &b->out, &in.body, &err) != DM_OK)
            return push_error(L, &err);
        bool named = false;
        for (size_t i = 0; i < in.header_count; i++) named = named || is_host(pairs[i].name);
        if (!named && host.p) pairs[in.header_count++] = (dm_pair){dm_view_of("host"), host};
        in.headers = pairs;
    }
    if (dm_sign(signer, &in, &key, &out, &err) != DM_OK) return push_error(L, &err);
    lua_createtable(L, 0, 6);
    set_view(L, "canonical_query", (dm_view){out.canonical_query.p ? out.canonical_query.p : "", out.canonical_query.n});
    set_view(L, "string_to_sign", out.string_to_sign);
    set_view(L, "signature", out.signature);
    set_view(L, "canonical_request", out.canonical_request);
    set_view(L, "hashed_payload", out.hashed_payload);
    set_view(L, "authorization", out.authorization);
    return 1;
}

/***
Build and sign a call; `directmail.sign` is its public face.
@function sign_call
@tparam table call `algorithm`, `method`, `host`, `path`, `query`, `form` (flat tables of strings),
 `action`, `api_version`, `access_key_id`, `access_key_secret`, `security_token`, `utc`, `nonce`
@treturn[1] table `method`, `url` (path and query), `headers` by name, `body` (nil: none)
@treturn[2] nil
@treturn[2] table `code`, `field`, `detail`
*/
static int l_sign_call(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 24, "sign_call");
    dm_signer *signer = get_signer(L);
    dm_call in = {.scheme = DM_SIGN_V3};
    dm_key key;
    dm_ready out;
    dm_error err = {.code = DM_OK};
    dm_pair *query, *form;
    const struct {
        const char *name;
        bool needed;
        dm_view *to;
    } texts[] = {
        {"method", true, &in.method},      {"host", true, &in.host},
        {"path", false, &in.path},         {"action", true, &in.action},
        {"api_version", true, &in.version}, {"access_key_id", true, &key.id},
        {"access_key_secret", true, &key.secret}, {"security_token", false, &key.token},
        {"utc", true, &in.utc},            {"nonce", true, &in.nonce},
    };
    if (scheme_field(L, &in.scheme, &err) != DM_OK) return push_error(L, &err);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (text_field(L, texts[i].name, texts[i].needed, texts[i].to, &err) != DM_OK) return push_error(L, &err);
    if (pairs_field(L, "query", false, &query, &in.query_count, &err) != DM_OK || pairs_field(L, "form", false, &form, &in.form_count, &err) != DM_OK)
        return push_error(L, &err);
    in.query = query;
    in.form = form;
    if (dm_sign_call(signer, &in, &key, &out, &err) != DM_OK) return push_error(L, &err);
    lua_createtable(L, 0, 4);
    set_view(L, "method", in.method);
    set_view(L, "url", out.target);
    if (out.body.n) set_view(L, "body", out.body);
    lua_createtable(L, 0, (int)out.header_count);
    for (size_t i = 0; i < out.header_count; i++) set_view(L, out.headers[i].name.p, out.headers[i].value);
    lua_setfield(L, -2, "headers");
    return 1;
}

void dm_open_sign(lua_State *L) {
    static const luaL_Reg methods[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"percent", l_percent},         {"sha256", l_sha256},       {"hmac_sha256", l_hmac_sha256},
        {"same", l_same},               {"sign", l_sign},           {"sign_call", l_sign_call},
        {NULL, NULL},
    };
    dm_newclass(L, BOX, methods, box_close);
    box *b = dm_newblock(L, sizeof *b);
    memset(b, 0, sizeof *b);
    dm_buf_init(&b->out, LIMIT);
    dm_setclass(L, BOX);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -3, f->name);
    }
    lua_pop(L, 1);
}
