std = "min"
max_line_length = 160
self = false                    -- a method keeps its shape, whether it uses self or not
read_globals = { "unpack", table = { fields = { "unpack" } } }     -- local unpack = table.unpack or unpack
files["lua/directmail/command"] = { std = "lua54" }
files["lua/directmail/host/nginx.lua"] = { std = "ngx_lua" }
files["lua/directmail/nginx"] = { std = "ngx_lua" }
files["src"] = { std = "lua54" }
files["tests"] = { std = "max+busted", max_line_length = 180 }
files["examples"] = { std = "lua54" }
files["examples/nginx"] = { std = "ngx_lua" }
exclude_files = { "build", "tests/node" }
