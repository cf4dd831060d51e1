/* encode.c - the core's encoders for Lua: strings in, strings out. */
#include "buf.h"
#include "scratch.h"

/* The buffer's own failures are not the caller's: they are raised. */
static void check_room(lua_State *L, dm_scratch *s, dm_code code) {
    if (code != DM_E_MEMORY && code != DM_E_SIZE) return;
    dm_scratch_done(s);
    luaL_error(L, code == DM_E_SIZE ? "the text is too long to be encoded at once" : "not enough memory");
}

static int push_text(lua_State *L, dm_scratch *s) {
    check_room(L, s, s->buf.code);
    dm_pushview(L, dm_buf_view(&s->buf));
    dm_scratch_done(s);
    return 1;
}

/***
Base64 on one line, padded (RFC 4648 section 4).
@function base64
@tparam string bytes any octets
@treturn string
*/
static int base64(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    dm_base64(&s->buf, in);
    return push_text(L, s);
}

/***
Hexadecimal digits of octets, small letters.
@function hex
@tparam string bytes any octets
@treturn string
*/
static int hex(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    dm_hex(&s->buf, in);
    return push_text(L, s);
}

/***
Octets from base64; white space is skipped, all else must be exact.
@function base64_decode
@tparam string text
@treturn string|nil the octets; nil when `text` is not base64
*/
static int base64_decode(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    if (dm_base64_decode(&s->buf, in) != DM_E_CONTENT) return push_text(L, s);
    dm_scratch_done(s);
    lua_pushnil(L);
    return 1;
}

/***
Quoted-printable of a text (RFC 2045 section 6.7), line ends become CRLF.
@function qp
@tparam string text
@treturn string
*/
static int qp(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    dm_qp(&s->buf, in);
    return push_text(L, s);
}

/***
Header text, folded, with encoded words where it needs them (RFC 2047).
@function word
@tparam string text UTF-8
@tparam[opt=0] number column octets that already stand on the line: 9 behind `Subject: `
@treturn string|nil
@treturn string why not: a line break, invalid UTF-8, or a word too long to fold
*/
static int word(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    lua_Integer given = lua_isnoneornil(L, 2) ? 0 : dm_checkinteger(L, 2);
    luaL_argcheck(L, given >= 0 && given <= 998, 2, "a column of 0 to 998 expected");
    size_t column = (size_t)given;
    dm_scratch *s = dm_scratch_take(L);
    dm_code code = dm_word_text(&s->buf, in, &column);
    if (code == DM_OK) return push_text(L, s);
    check_room(L, s, code);
    dm_scratch_done(s);
    lua_pushnil(L);
    if (code == DM_E_CONTENT) lua_pushliteral(L, "the text is not UTF-8");
    else if (!dm_one_line(in)) lua_pushliteral(L, "the text holds a line break or NUL");
    else lua_pushliteral(L, "the text has more than 998 octets without a blank, which no header line can hold");
    return 2;
}

/***
Text of a header as people read it: unfolded, encoded words decoded. What cannot be decoded stays.
@function word_decode
@tparam string text
@treturn string UTF-8 as far as the header was
*/
static int word_decode(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_scratch *s = dm_scratch_take(L);
    dm_word_decode(&s->buf, in);
    return push_text(L, s);
}

/***
A date as RFC 5322 section 3.3 writes it: `Thu, 01 Jan 1970 08:00:00 +0800`.
@function date
@tparam number seconds since 1970 UTC; a fraction is cut off
@tparam[opt=0] number zone minutes east of UTC
@treturn string
@raise when the year is not within 1900 to 9999 or the zone not within a hundred hours
*/
static int date(lua_State *L) {
    lua_Number given = luaL_checknumber(L, 1);
    lua_Integer zone = lua_isnoneornil(L, 2) ? 0 : dm_checkinteger(L, 2);
    luaL_argcheck(L, given > -1e12 && given < 1e12, 1, "a time within the years 1900 to 9999 expected");
    luaL_argcheck(L, zone > -6000 && zone < 6000, 2, "minutes east of UTC expected");
    int64_t seconds = (int64_t)given;
    if ((lua_Number)seconds > given) seconds--;         /* towards the past, before 1970 too */
    dm_scratch *s = dm_scratch_take(L);
    dm_code code = dm_date(&s->buf, seconds, (int)zone);
    if (code != DM_OK) dm_scratch_done(s);
    luaL_argcheck(L, code != DM_E_HEADER, 1, "a time within the years 1900 to 9999 and a zone within a hundred hours expected");
    return push_text(L, s);
}

/***
Read a date of RFC 5322 section 3.3, obsolete zones too.
@function date_parse
@tparam string text
@treturn number|nil seconds since 1970 UTC; nil when `text` is no date
@treturn number minutes east of UTC
*/
static int date_parse(lua_State *L) {
    int64_t seconds;
    int zone;
    if (dm_date_parse(dm_checkview(L, 1), &seconds, &zone) != DM_OK) {
        lua_pushnil(L);
        return 1;
    }
#if LUA_VERSION_NUM >= 503
    lua_pushinteger(L, (lua_Integer)seconds);
#else
    lua_pushnumber(L, (lua_Number)seconds);
#endif
    lua_pushinteger(L, zone);
    return 2;
}

/***
Is a string UTF-8 (RFC 3629)?
@function utf8
@tparam string text
@treturn boolean
@treturn number position of the first octet that is not, counted from 1 as in `string.sub`
*/
static int utf8(lua_State *L) {
    size_t where;
    bool valid = dm_utf8_valid(dm_checkview(L, 1), &where);
    lua_pushboolean(L, valid);
    if (valid) return 1;
    lua_pushinteger(L, (lua_Integer)where + 1);
    return 2;
}

/***
A domain name as A-labels (IDNA2008, UTS 46 non-transitional). A plain ASCII name keeps its letter case.
@function idn
@tparam string domain UTF-8; a dot at its end is dropped
@treturn string|nil
@treturn string why it is no domain name
*/
static int idn(lua_State *L) {
    dm_view in = dm_checkview(L, 1);
    dm_error err;
    dm_scratch *s = dm_scratch_take(L);
    dm_code code = dm_idn(&s->buf, in, &err);
    if (code == DM_OK) return push_text(L, s);
    check_room(L, s, code);
    dm_scratch_done(s);
    lua_pushnil(L);
    lua_pushstring(L, err.detail);
    return 2;
}

void dm_open_encode(lua_State *L) {
    static const luaL_Reg encoders[] = {
        {"base64", base64}, {"base64_decode", base64_decode}, {"hex", hex}, {"qp", qp}, {"word", word},
        {"word_decode", word_decode}, {"date", date}, {"idn", idn}, {NULL, NULL},
    };
    static const luaL_Reg readers[] = {{"date_parse", date_parse}, {"utf8", utf8}, {NULL, NULL}};
    dm_scratch_funcs(L, encoders);
    dm_setfuncs(L, readers);
}
