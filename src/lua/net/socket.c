/* socket.c - sockets that never block: what would wait answers false and what to wait for. */
#include "net.h"

#include <errno.h>
#include <unistd.h>

#include "tls.h"

static dm_socket *self(lua_State *L) { return dm_self(L, "socket expected"); }

static dm_socket *self_open(lua_State *L) {     /* NULL: closed, and nil, "closed" is on the stack */
    dm_socket *s = self(L);
    if (s->watch.loop) return s;
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return NULL;
}

static int answer(lua_State *L, dm_io io, const dm_why *why) {
    if (io == DM_IO_FAIL) return dm_pushwhy(L, why);
    lua_pushboolean(L, 0);
    lua_pushinteger(L, io == DM_IO_WANT_WRITE ? DM_WRITE : DM_READ);
    return 2;
}

dm_socket *dm_newsocket(lua_State *L) {
    dm_socket *s = dm_newblock(L, sizeof *s);
    memset(s, 0, sizeof *s);
    dm_setclass(L, DM_SOCKET);
    return s;
}

typedef struct fresh {
    dm_socket *socket;
    int fd;
} fresh;

static int make(lua_State *L) {             /* protected: the descriptor must not leak when memory runs out */
    fresh *f = lua_touserdata(L, 1);
    f->socket = dm_newsocket(L);
    return 1;
}

int dm_pushsocket(lua_State *L, int fd) {
    fresh f = {NULL, fd};
    dm_why why;
    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, &f);
    if (lua_pcall(L, 1, 1, 0) != 0) {
        close(fd);
        return lua_error(L);
    }
    int error = dm_socket_open(f.socket, dm_checkloop(L), fd);
    if (error == 0) return 1;
    dm_why_errno(&why, error);
    return dm_pushwhy(L, &why);
}

/*** Receive what is there.
@function socket:recv
@tparam integer max octets at most (64 KB in any case)
@return octets; or false and 0 (wait for reading) or 1 (for writing); or nil, why
*/
static int socket_recv(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    lua_Integer max = dm_checkinteger(L, 2);
    if (max < 1) return luaL_argerror(L, 2, "positive number expected");
    if (max > DM_SCRATCH) max = DM_SCRATCH;
    char *to = dm_loop_scratch(s->watch.loop);
    if (!to) return luaL_error(L, "out of memory");
    size_t n;
    dm_why why;
    dm_io io = dm_socket_recv(s, to, (size_t)max, &n, &why);
    if (io != DM_IO_DONE) return answer(L, io, &why);
    lua_pushlstring(L, to, n);
    return 1;
}

/*** Send what there is room for.
@function socket:send
@tparam string bytes
@tparam integer from the first octet to send, 1 and up; when it said false, come again with the same bytes
@return octets sent; or false and 0 or 1 as recv; or nil, why
*/
static int socket_send(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    size_t size, n = 0;
    const char *bytes = luaL_checklstring(L, 2, &size);
    lua_Integer from = dm_checkinteger(L, 3);
    if (from < 1 || (size_t)from > size + 1) return luaL_argerror(L, 3, "position in the string expected");
    dm_why why;
    dm_io io = dm_socket_send(s, bytes + from - 1, size - (size_t)from + 1, &n, &why);
    if (io != DM_IO_DONE) return answer(L, io, &why);
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

/*** Wait for what recv, send or handshake asked for.
@function socket:wait
@tparam integer who 0 the receiver, 1 the sender; each waits once at a time
@tparam integer want 0 until readable, 1 until writable
@tparam[opt] number seconds time limit
@treturn integer the number of the wait; or nil, "closed"
*/
static int socket_wait(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    lua_Integer who = dm_checkinteger(L, 2), want = dm_checkinteger(L, 3);
    luaL_argcheck(L, who == DM_READ || who == DM_WRITE, 2, "0 or 1 expected");
    luaL_argcheck(L, want == DM_READ || want == DM_WRITE, 3, "0 or 1 expected");
    if (s->watch.wait[who]) return luaL_error(L, "somebody waits for this socket already");
    return dm_pushwait(L, dm_watch_wait(&s->watch, (int)who, (int)want, dm_optseconds(L, 4)));
}

/*** Begin TLS as the client; then handshake().
@function socket:client
@tparam string name host name or IP literal that the certificate must be for
@tparam[opt] string ca PEM file that replaces the system's store
@tparam[opt] integer port with name and CA what a session is remembered for; without it none is
@return true; or nil, why
*/
static int socket_client(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    const char *name = dm_checktext(L, 2), *ca = dm_opttext(L, 3);
    dm_why why;
    if (s->tls) return luaL_error(L, "TLS has begun already");
    if (!dm_tls_client(s, name, lua_isnoneornil(L, 4) ? 0 : dm_checkport(L, 4), ca, &why)) return dm_pushwhy(L, &why);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Begin TLS as the server; then handshake().
@function socket:server
@tparam identity identity
@return true; or nil, why
*/
static int socket_server(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    SSL_CTX **identity = luaL_checkudata(L, 2, DM_IDENTITY);
    dm_why why;
    if (!*identity) return luaL_argerror(L, 2, "identity is closed");
    if (s->tls) return luaL_error(L, "TLS has begun already");
    if (!dm_tls_server(s, *identity, &why)) return dm_pushwhy(L, &why);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Go on with the handshake.
@function socket:handshake
@return true; or false and 0 or 1 as recv; or nil, why
*/
static int socket_handshake(lua_State *L) {
    dm_socket *s = self_open(L);
    if (!s) return 2;
    dm_why why;
    if (!s->tls) return luaL_error(L, "TLS has not begun");
    dm_io io = dm_tls_handshake(s->tls, &why);
    if (io != DM_IO_DONE) return answer(L, io, &why);
    lua_pushboolean(L, 1);
    return 1;
}

/*** What TLS there is.
@function socket:tls
@return {version="TLSv1.3", cipher=, resumed=boolean, subject=, expires="2027-03-01"}, subject and expires of the peer's certificate; or nil
*/
static int socket_tls(lua_State *L) {
    dm_socket *s = self(L);
    dm_tls_info info;
    if (!dm_tls_describe(s->tls, &info)) return 0;
    lua_newtable(L);
    lua_pushstring(L, info.version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, info.cipher);
    lua_setfield(L, -2, "cipher");
    lua_pushboolean(L, info.resumed);
    lua_setfield(L, -2, "resumed");
    if (info.subject[0]) {
        lua_pushstring(L, info.subject);
        lua_setfield(L, -2, "subject");
    }
    if (info.expires[0]) {
        lua_pushstring(L, info.expires);
        lua_setfield(L, -2, "expires");
    }
    return 1;
}

/*** Is it fit for reuse: open, and nothing unread?
@function socket:idle
@treturn boolean
*/
static int socket_idle(lua_State *L) {
    dm_socket *s = self(L);
    lua_pushboolean(L, s->watch.loop && dm_socket_idle(s));
    return 1;
}

static int address(lua_State *L, int (*of)(int, struct sockaddr *, socklen_t *)) {
    dm_socket *s = self(L);
    struct sockaddr_storage a = {0};
    socklen_t size = sizeof a;
    char ip[DM_IP_TEXT];
    int port;
    if (!s->watch.loop || of(s->watch.fd, (struct sockaddr *)&a, &size) != 0 || !dm_address_text(&a, ip, &port)) return 0;
    lua_pushstring(L, ip);
    lua_pushinteger(L, port);
    return 2;
}

/*** The own end.
@function socket:sockname
@return ip, port; or nothing
*/
static int socket_sockname(lua_State *L) { return address(L, getsockname); }

/*** The other end.
@function socket:peername
@return ip, port; or nothing
*/
static int socket_peername(lua_State *L) { return address(L, getpeername); }

/*** Close, with TLS's goodbye; who waits is woken.
@function socket:close
*/
static int socket_close(lua_State *L) {
    dm_socket_close(luaL_checkudata(L, 1, DM_SOCKET));
    return 0;
}

static int identity_close(lua_State *L) {
    SSL_CTX **box = luaL_checkudata(L, 1, DM_IDENTITY);
    SSL_CTX_free(*box);
    *box = NULL;
    return 0;
}

/*** A server's certificate with its key.
@function identity
@tparam string cert PEM, its chain behind it
@tparam string key PEM, not encrypted
@treturn identity or raises: both come from the program
*/
static int identity_new(lua_State *L) {
    dm_view cert = dm_checkview(L, 1), key = dm_checkview(L, 2);
    dm_why why;
    SSL_CTX **box = dm_newblock(L, sizeof *box);
    *box = NULL;
    dm_setclass(L, DM_IDENTITY);
    *box = dm_tls_identity(cert.p, cert.n, key.p, key.n, &why);
    return *box ? 1 : luaL_error(L, "%s", why.text);
}

void dm_open_socket(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"recv", socket_recv}, {"send", socket_send}, {"wait", socket_wait}, {"client", socket_client}, {"server", socket_server},
        {"handshake", socket_handshake}, {"tls", socket_tls}, {"idle", socket_idle}, {"sockname", socket_sockname},
        {"peername", socket_peername}, {"close", socket_close}, {NULL, NULL}};
    static const luaL_Reg nothing[] = {{NULL, NULL}};
    dm_newfastclass(L, DM_SOCKET, methods, socket_close);
    dm_newclass(L, DM_IDENTITY, nothing, identity_close);
    lua_pushcfunction(L, identity_new);
    lua_setfield(L, -2, "identity");
}
