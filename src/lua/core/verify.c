/* verify.c - signatures checked with a certificate, for Lua. */
#include "core.h"

/***
Is it the signature (RSA, PKCS #1 v1.5) of some octets by the key in a certificate? Who issued the certificate and until when it is
valid is not looked at: that is for whoever fetched it.
@function verify
@tparam string pem an X.509 certificate in PEM, up to 64 KB
@tparam string hash "SHA1" or "SHA256"
@tparam string signature raw octets
@tparam string bytes what was signed
@treturn boolean|nil nil: `pem` is no certificate with an RSA key
*/
static int verify(lua_State *L) {
    static const char *const names[] = {"SHA1", "SHA256", NULL};
    dm_view pem = dm_checkview(L, 1);
    int hash = luaL_checkoption(L, 2, NULL, names);
    dm_view signature = dm_checkview(L, 3), in = dm_checkview(L, 4);
    dm_code code = dm_verify(pem, hash == 0 ? DM_SHA1 : DM_SHA256, signature, in);
    if (code == DM_E_MEMORY) return luaL_error(L, "not enough memory");
    if (code == DM_E_CONTENT) lua_pushnil(L);
    else lua_pushboolean(L, code == DM_OK);
    return 1;
}

void dm_open_verify(lua_State *L) {
    static const luaL_Reg functions[] = {{"verify", verify}, {NULL, NULL}};
    dm_setfuncs(L, functions);
}
