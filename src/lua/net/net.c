/* net.c - luaopen of directmail.net: the only module of ours that touches the world. */
#include "net.h"

DM_EXPORT int luaopen_directmail_net(lua_State *L);

int luaopen_directmail_net(lua_State *L) {
    lua_newtable(L);
#define DM_X(noun) dm_open_##noun(L);
    DM_NET_NOUNS(DM_X)
#undef DM_X
    return 1;
}
