/* terminal.c - what a person types, and whether there is one: for the command. */
#include "net.h"

#include <unistd.h>

#include "terminal.h"

/*** Is a descriptor a terminal?
@function is_terminal
@tparam integer fd 0 stdin, 1 stdout, 2 stderr
@treturn boolean
*/
static int is_terminal(lua_State *L) {
    lua_Integer fd = dm_checkinteger(L, 1);
    luaL_argcheck(L, fd >= 0 && fd <= 2, 1, "0, 1 or 2 expected");
    lua_pushboolean(L, isatty((int)fd));
    return 1;
}

/*** Ask at the terminal for a line that is not shown while it is typed.
@function unseen
@tparam string prompt
@return the line without its end; nil at the end of the input; or nil, why
*/
static int unseen(lua_State *L) {
    const char *prompt = dm_checktext(L, 1);
    char line[DM_TYPED_ROOM];
    size_t len;
    dm_why why;
    dm_typed typed = dm_terminal_line(prompt, line, &len, &why);
    if (typed == DM_TYPED_FAIL) return dm_pushwhy(L, &why);
    if (typed == DM_TYPED_END) return 0;
    lua_pushlstring(L, line, len);
    explicit_bzero(line, sizeof line);
    return 1;
}

void dm_open_terminal(lua_State *L) {
    static const luaL_Reg functions[] = {{"is_terminal", is_terminal}, {"unseen", unseen}, {NULL, NULL}};
    dm_setfuncs(L, functions);
}
