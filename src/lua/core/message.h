/* message.h - what other bindings of this module need from message.c. */
#ifndef DM_LUA_MESSAGE_H
#define DM_LUA_MESSAGE_H

#include "compat.h"

/* The message at 'i'; raises when there is none or it is closed. */
dm_message *dm_tomessage(lua_State *L, int i);

/* While 'owner' (an engine) pulls the message at 'i', nobody else may pull or close it: they share one place in it.
** Raises when another owner holds it. One owner may hold it several times and drops it as often. */
void dm_holdmessage(lua_State *L, int i, const void *owner);
void dm_dropmessage(lua_State *L, int i);

/* Push the reader object behind the number that came with DM_WANT_BODY. */
void dm_pushreader(lua_State *L, int message, int reader);

#endif
