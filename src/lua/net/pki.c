/* pki.c - a throw-away certificate authority, for sandboxes and tests. */
#include "net.h"

#include <openssl/pem.h>

#include "pki.h"

#define AUTHORITY "directmail.authority"

enum { NAMES = 64 };

/* What is open while Lua may raise: collected like everything else. */
typedef struct issued {
    X509 *cert;
    EVP_PKEY *key;
    BIO *pem;
} issued;

#define ISSUED "directmail.issued"

static int issued_gc(lua_State *L) {
    issued *i = luaL_checkudata(L, 1, ISSUED);
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    BIO_free(i->pem);
    *i = (issued){0};
    return 0;
}

static issued *new_issued(lua_State *L) {
    issued *i = dm_newblock(L, sizeof *i);
    *i = (issued){0};
    dm_setclass(L, ISSUED);
    return i;
}

/* The PEM text of a certificate or else of a key, pushed. */
static void push_pem(lua_State *L, issued *i, X509 *cert, EVP_PKEY *key) {
    char *text;
    BIO_free(i->pem);
    i->pem = BIO_new(BIO_s_secmem());       /* wiped when freed */
    if (!i->pem || !(cert ? PEM_write_bio_X509(i->pem, cert) : PEM_write_bio_PKCS8PrivateKey(i->pem, key, NULL, NULL, 0, NULL, NULL)))
        luaL_error(L, "out of memory");
    long n = BIO_get_mem_data(i->pem, &text);
    lua_pushlstring(L, text, (size_t)n);
}

static dm_authority *self(lua_State *L) {
    dm_authority *a = luaL_checkudata(L, 1, AUTHORITY);
    if (!a->key) luaL_error(L, "the authority is closed");
    return a;
}

/*** A certificate authority with a fresh key (EC P-256).
@function authority
@treturn authority
*/
static int authority_new(lua_State *L) {
    dm_why why;
    dm_authority *a = dm_newblock(L, sizeof *a);
    *a = (dm_authority){0};
    dm_setclass(L, AUTHORITY);
    return dm_authority_new(a, &why) ? 1 : luaL_error(L, "%s", why.text);
}

/*** Its own certificate.
@function authority:ca
@treturn string PEM
*/
static int authority_ca(lua_State *L) {
    dm_authority *a = self(L);
    push_pem(L, new_issued(L), a->cert, NULL);
    return 1;
}

/*** Issue a server's certificate.
@function authority:issue
@tparam table names DNS names and IP addresses
@tparam[opt] boolean expired it ended yesterday
@treturn string certificate, PEM
@treturn string key, PEM; raises when a name is none
*/
static int authority_issue(lua_State *L) {
    dm_authority *a = self(L);
    const char *names[NAMES];
    dm_why why;
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = dm_rawlen(L, 2);
    luaL_argcheck(L, count <= NAMES, 2, "at most 64 names expected");
    luaL_checkstack(L, NAMES + 8, "names");
    bool expired = lua_toboolean(L, 3);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "list of strings expected");
        size_t n;
        names[i] = lua_tolstring(L, -1, &n);
        luaL_argcheck(L, strlen(names[i]) == n, 2, "names without NUL expected");
    }
    issued *i = new_issued(L);
    if (!dm_authority_issue(a, names, count, expired, &i->cert, &i->key, &why)) return luaL_error(L, "%s", why.text);
    push_pem(L, i, i->cert, NULL);
    push_pem(L, i, NULL, i->key);
    return 2;
}

static int authority_close(lua_State *L) {
    dm_authority_free(luaL_checkudata(L, 1, AUTHORITY));
    return 0;
}

void dm_open_pki(lua_State *L) {
    static const luaL_Reg methods[] = {{"ca", authority_ca}, {"issue", authority_issue}, {NULL, NULL}};
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    dm_newclass(L, AUTHORITY, methods, authority_close);
    dm_newclass(L, ISSUED, nothing, issued_gc);
    lua_pushcfunction(L, authority_new);
    lua_setfield(L, -2, "authority");
}
