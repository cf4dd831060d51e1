--- Say which directmail this is.
-- @module directmail.command.version
return {
  name = "version",
  summary = "say which directmail and which Lua this is",
  examples = { "directmail version" },
  parser = function() end,
  run = function(_, place)
    print(("directmail %s (%s)"):format(place.version, place.lua))
    return 0
  end,
}
