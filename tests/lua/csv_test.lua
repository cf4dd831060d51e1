-- CSV as RFC 4180 has it, and everything that only looks like it.
local csv = require "directmail.csv"
local limits = require "directmail.data.limits"

-- All rows of a text with their lines; or nil, err.
local function all(text)
  local following, columns = csv.rows { text = text, name = "x.csv" }
  if not following then return nil, columns end
  local rows, lines = {}, {}
  while true do
    local row, line = following()
    if row == nil then return rows, lines, columns end
    if not row then return nil, line, following end
    rows[#rows + 1], lines[#lines + 1] = row, line
  end
end

describe("a CSV file", function()
  it("is read by the names of its header, with the lines", function()
    local rows, lines, columns = all "to,name\r\na@x.example,Ann\r\nb@x.example,\r\n"
    assert.same({ { to = "a@x.example", name = "Ann" }, { to = "b@x.example", name = "" } }, rows)
    assert.same({ { 2, 3 }, { "to", "name" } }, { lines, columns })
  end)

  it("may have a byte order mark, LF, no last line end, empty lines, spaces around the header's names", function()
    assert.same({ { to = "a", n = "ü" } }, (all "\239\187\191to , n\na,ü"))
    assert.same({ { to = "a" }, { to = "b" } }, (all "\r\nto\r\n\r\na\r\n\nb\n\n"))
    assert.same({}, (all "to,n"))
    assert.same({ { to = "" } }, (all 'to\n""\n'))
  end)

  it("has commas, quotes and line breaks in quoted fields, and counts their lines", function()
    local rows, lines = all 'to,n\n"a","x, ""y""\r\nz"\nb,2\n"","3"'
    assert.same({ { to = "a", n = 'x, "y"\r\nz' }, { to = "b", n = "2" }, { to = "", n = "3" } }, rows)
    assert.same({ 2, 4, 5 }, lines)
  end)

  it("reads the same however its bytes come", function()
    local name = ("ü"):rep(40000)                -- several pieces long, and a character across their border
    local text = "to,n\n"
    for i = 1, 5 do text = text .. ('a%d@x.example,"%s""%d"\r\n'):format(i, name, i) end
    local rows = assert(all(text))
    assert.same({ 5, name .. '"5', "a5@x.example" }, { #rows, rows[5].n, rows[5].to })
  end)

  it("is refused with the line where it is broken", function()
    for text, want in pairs {
      ["to,n\na\n"] = "line 2: 1 fields, and the header names 2", ["to\na,b\n"] = "line 2: 2 fields", ['to\na"b\n'] = "line 2: a quote in the middle",
      ['to\n"a"b\n'] = "line 2: text behind a closing quote", ['to\na\n"b\nc\n'] = "line 3: a quote that never closes", ["to\na\rb\n"] = "line 2: a carriage return",
      ["to\na\r"] = "line 2: a carriage return", ["to\n\255\n"] = "line 2: bytes that are no UTF%-8", ["to\na\0\n"] = "line 2: bytes", ["to,to\n"] = 'two columns are named "to"',
      ["to,,n\n"] = "column 2 has no name", [""] = "no header", ["to;n\na;b\n"] = "not separated by commas", ["\255\254t\0o\0"] = "UTF%-16",
      ["to\n" .. ("x"):rep(limits.csv_line + 1) .. "\n"] = "line 2: the record has more", ['to\n"' .. ("x"):rep(limits.csv_line + 100000)] = "line 2: the record has more",
    } do
      local rows, e = all(text)
      assert.is_nil(rows, want)
      assert.equal("FILE", e.code)
      assert.matches(want, e.cause)
      assert.is_string(e.remedy)
    end
    local _, _, following = all "to,n\na\nb,c\n"
    assert.is_nil((following()))                 -- nothing behind a fault is taken for a row
  end)

  it("is read from a file, or its absence is told", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write "email\na@x.example\n"
    file:close()
    local following = assert(csv.rows(path))
    assert.same({ { email = "a@x.example" }, 2 }, { following() })
    assert.is_nil((following()))
    os.remove(path)
    local none, e = csv.rows(path)
    assert.same({ nil, "FILE" }, { none, e.code })
    none, e = csv.rows "/tmp"
    assert.same({ nil, "FILE" }, { none, e.code })
    assert.has_error(function() csv.rows(1) end)
  end)
end)
