-- One case in the home of the interpreter that runs this: run.lua NUMBER GIVEN FILE, where GIVEN is JSON for homes.cases and FILE gets the result as JSON.
local json = require "cjson"
local result = require "homes.cases".run(require "directmail", tonumber(arg[1]), json.decode(arg[2]))
local file = assert(io.open(arg[3], "wb"))
file:write(json.encode(result))
file:close()
