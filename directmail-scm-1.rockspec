-- `luarocks make` in a checkout builds and installs the module; the command comes with `make install`.
rockspec_format = "3.0"
package = "directmail"
version = "scm-1"
source = { url = "git+file://." }       -- the checkout itself
description = {
  summary = "Mail through Alibaba Cloud Direct Mail",
  detailed = [[
    Messages with attachments, SMTP with STARTTLS or TLS, many connections, and outcomes that can be
    trusted: sent, refused, not sent, or unknown. The protocol engine is written in C and does no I/O.]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.1, < 5.5", "lua-cjson >= 2.1" }
external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
  IDN2 = { header = "idn2.h", library = "idn2" },
  SQLITE = { header = "sqlite3.h", library = "sqlite3" },
  GUMBO = { header = "gumbo.h", library = "gumbo" },
  HIREDIS = { header = "hiredis/hiredis.h", library = "hiredis" },
  CURL = { header = "curl/curl.h" },    -- headers only: libcurl is loaded when a connection needs it,
  CARES = { header = "ares.h" },        -- and c-ares with the first question to a DNS server
}
build = {
  type = "make",
  build_target = "module",
  install_target = "install-module",
  build_variables = { LUA = "$(LUA)", LUA_INCDIR = "$(LUA_INCDIR)", CFLAGS = "$(CFLAGS)" },
  install_variables = { LUA = "$(LUA)", LUA_INCDIR = "$(LUA_INCDIR)", CFLAGS = "$(CFLAGS)", LUADIR = "$(LUADIR)", LIBDIR = "$(LIBDIR)" },
}
