-- directmail.attachment: what the caller gave becomes a part, streamed where it can be.
local attachment = require "directmail.attachment"
local core = require "directmail.core"
local err = require "directmail.err"
local limits = require "directmail.data.limits"
local memory = require "directmail.host.memory"

local made = {}

-- As in a home that streams files.
local function part_of(given, i) return attachment.part(given, i, memory.new()) end

local function write(path, bytes)
  local f = assert(io.open(path, "wb"))
  assert(f:write(bytes))
  assert(f:close())
end

local function file(bytes, ending)
  local base = os.tmpname()
  local path = base .. (ending or "")
  made[#made + 1] = base
  made[#made + 1] = path
  write(path, bytes)
  return path
end

local function read_all(reader, max)
  local out = {}
  while true do
    local bytes, why = reader:read(max or 7)
    if not bytes then return table.concat(out), why end
    out[#out + 1] = bytes
  end
end

-- A failure that the caller is told, with the field and something to do.
local function refused(given, code, words)
  local part, e = part_of(given, 3)
  assert.is_nil(part)
  assert.is_true(err.is(e), type(e) == "table" and e.misuse)
  assert.same({ code, "attachments[3]", "not_sent", false }, { e.code, e.detail, e.outcome, e.retry })
  assert.is_true(#e.remedy > 8)
  assert.is_truthy(e.cause:find(words, 1, true), e.cause)
  return e
end

describe("attachment", function()
  after_each(function()
    for _, path in ipairs(made) do os.remove(path) end
    made = {}
  end)

  it("streams_a_path_and_names_it_by_its_last_piece", function()
    local path = file("hello, world", ".csv")
    for _, given in ipairs { path, { path = path } } do
      local part = assert(part_of(given, 1))
      assert.same({ path:match "[^/]*$", "text/csv", 12 }, { part.name, part.type, part.size })
      assert.is_nil(part.data)
      assert.equal("hello, world", (read_all(part.reader)))
    end
  end)

  it("reads_a_file_again_on_a_second_pass", function()
    local part = assert(part_of(file "0123456789", 1))
    assert.equal("0123456789", (read_all(part.reader)))
    assert.equal("0123456789", (read_all(part.reader, 3)))
  end)

  it("begins_at_the_first_octet_after_a_pass_that_was_given_up", function()
    local part = assert(part_of(file "0123456789", 1))
    assert.equal("0123", part.reader:read(4))
    part.reader:rewind()
    assert.equal("0123456789", (read_all(part.reader)))
    part.reader:rewind()
    part.reader:rewind()
    assert.equal("0123456789", (read_all(part.reader)))
  end)

  it("says_that_a_file_went_away_before_the_message_left", function()
    local path = file "0123456789"
    local part = assert(part_of(path, 1))
    os.remove(path)
    local bytes, why = part.reader:read(5)
    assert.is_nil(bytes)
    assert.matches("cannot be read again", why)
    write(path, "0123456789")
    assert.equal("0123456789", (read_all(part.reader)))
  end)

  it("takes_an_empty_file", function()
    local part = assert(part_of(file "", 1))
    assert.same({ 0, "" }, { part.size, (read_all(part.reader)) })
  end)

  it("keeps_data_as_they_are", function()
    local part = assert(part_of({ name = "报告.csv", data = "a\0b" }, 1))
    assert.same({ name = "报告.csv", data = "a\0b", type = "text/csv" }, part)
    assert.equal("", assert(part_of({ name = "x", data = "" }, 1)).data)
  end)

  it("streams_a_reader_function", function()
    local asked, left = {}, { "12345", "", "67890" }
    local part = assert(part_of({ name = "x.bin", size = 10, read = function(max)
      asked[#asked + 1] = max
      return table.remove(left, 1)
    end }, 1))
    assert.equal(10, part.size)
    assert.equal("1234567890", (read_all(part.reader, 8)))
    assert.same({ 8, 8, 8, 8 }, asked)
  end)

  it("passes_on_why_a_reader_function_failed", function()
    local part = assert(part_of({ name = "x", size = 1, read = function() return nil, "disk on fire" end }, 1))
    assert.same({ nil, "disk on fire" }, { part.reader:read(1) })
    part = assert(part_of({ name = "x", size = 1, read = function() return nil, { 1 } end }, 1))
    assert.is_string(select(2, part.reader:read(1)))
    part = assert(part_of({ name = "x", size = 1, read = function() return 5 end }, 1))
    assert.matches("gave a number instead of a string", select(2, part.reader:read(1)))
  end)

  it("does_not_wait_for_ever_on_a_reader_function_that_brings_nothing", function()
    local part = assert(part_of({ name = "x", size = 1, read = function() return "" end }, 1))
    local bytes, why = read_all(part.reader)
    assert.equal("", bytes)
    assert.matches("empty strings for ever", why)
  end)

  it("tells_the_type_by_the_ending_unless_it_is_given", function()
    for name, type_name in pairs {
      ["a.pdf"] = "application/pdf", ["A.PDF"] = "application/pdf", ["a.tar.gz"] = "application/gzip", ["发票.png"] = "image/png",
      ["pdf"] = "application/octet-stream", ["a."] = "application/octet-stream", [".pdf"] = "application/pdf",
      ["a.unheardof"] = "application/octet-stream", [""] = "application/octet-stream", ["a.ics"] = "text/calendar",
    } do
      assert.equal(type_name, attachment.type_of(name), name)
    end
    assert.equal("text/x-mine", assert(part_of({ name = "a.pdf", data = "x", type = "text/x-mine" }, 1)).type)
    assert.equal("image/png", assert(part_of({ path = file("x", ".pdf"), name = "logo.png" }, 1)).type)
  end)

  it("may_lack_a_name_only_with_a_content_id", function()
    refused({ data = "x" }, "OPTION", "has no name")
    refused({ name = "", data = "x" }, "OPTION", "has no name")
    local part = assert(part_of({ cid = "logo", data = "x" }, 1))
    assert.same({ "logo", "application/octet-stream" }, { part.cid, part.type })
  end)

  it("wants_exactly_one_of_path_data_and_read", function()
    local read = function() end
    for _, given in ipairs { { name = "x" }, { path = "x", data = "x" }, { data = "x", read = read, size = 1 },
      { path = "x", data = "x", read = read } } do
      refused(given, "OPTION", "one of path, data, read")
    end
  end)

  it("wants_the_whole_number_of_octets_that_a_reader_function_brings", function()
    for _, size in ipairs { false, -1, 1.5, 1 / 0, -1 / 0, 0 / 0 } do
      refused({ name = "x", read = function() end, size = size or nil }, "OPTION", "needs size")
    end
  end)

  it("calls_a_wrong_type_and_an_unknown_name_misuse", function()
    for _, row in ipairs {
      { { nmae = "x" }, 'did you mean "name"' }, { { name = 5, data = "x" }, "attachments[3]: name must be a string, not a number" },
      { { path = true }, "path must be a string" }, { { data = {} }, "data must be a string" }, { { read = "x" }, "read must be a function" },
      { { read = function() end, size = "5" }, "size must be a number" }, { { data = "x", type = 1 }, "type must be a string" },
      { { data = "x", cid = 1 }, "cid must be a string" }, { 5, "table expected, got number" }, { false, "table expected, got boolean" },
    } do
      local part, e = part_of(row[1], 3)
      assert.is_nil(part)
      assert.is_false(err.is(e))
      assert.is_truthy(e.misuse:find(row[2], 1, true), e.misuse)
    end
  end)

  it("says_why_a_path_cannot_be_read", function()
    local path = file "x"
    refused(path .. ".missing", "FILE", path .. ".missing cannot be read: No such file or directory")
    refused(path .. "/inside", "FILE", "Not a directory")
    refused("", "FILE", "cannot be read")
    refused("/tmp", "FILE", "/tmp is no file that can be attached: Is a directory")
    refused("/tmp/", "FILE", "Is a directory")
    -- a link to itself cannot be read by anybody, root included
    local loop = path .. ".loop"
    made[#made + 1] = loop
    assert(os.execute(("ln -s '%s' '%s'"):format(loop, loop)))
    refused(loop, "FILE", "Too many levels of symbolic links")
  end)

  it("does_not_take_what_has_no_size_of_its_own", function()
    local fifo = file "" .. ".fifo"
    made[#made + 1] = fifo
    assert(os.execute(("mkfifo '%s'"):format(fifo)))
    local both = assert(io.open(fifo, "r+b"))         -- a writer, so that opening it does not wait
    both:write "x"
    both:flush()
    refused(fifo, "FILE", "is no file that can be attached: Illegal seek")
    both:close()
    refused("/dev/zero", "FILE", "no size of its own")
    refused("/proc/self/status", "FILE", "no file that can be attached")
  end)

  it("does_not_open_what_stands_before_a_nul", function()
    local path = file "private"
    refused(path .. "\0.png", "FILE", "NUL")
  end)

  it("reads_a_path_whole_where_reading_makes_everybody_wait_and_refuses_a_large_one", function()
    local host = { name = "nginx", file_octets = 5, read = function(path)
      if path == "/a/small.csv" then return "a,b" end
      return nil, path == "/a/large.csv" and "larger than 5 octets" or "No such file or directory"
    end }
    local part = assert(attachment.part("/a/small.csv", 1, host))
    assert.same({ name = "small.csv", type = "text/csv", data = "a,b" }, part)
    local none, e = attachment.part("/a/large.csv", 2, host)
    assert.is_nil(none)
    assert.same({ "FILE", "attachments[2]" }, { e.code, e.detail })
    assert.matches("larger than 5 octets.*nginx", e.cause)
    assert.matches("read", e.remedy)
    assert.matches("No such file", select(2, attachment.part("/a/none", 1, host)).cause)
    assert.matches("NUL", select(2, attachment.part("/a/small.csv\0", 1, host)).cause)
  end)

  it("shows_the_name_of_a_file_without_its_control_characters", function()
    assert.is_nil(refused("/tmp/no\27[2Jsuch\nfile", "FILE", "cannot be read").cause:find "%c")
  end)

  local EML = "Subject: inner\r\n\r\nHi\r\n"

  it("reads_a_message_at_once_since_it_goes_as_it_stands", function()
    for _, given in ipairs { file(EML, ".eml"), { path = file(EML), type = "message/rfc822" }, { path = file(EML), type = "Message/RFC822" },
      { path = file(EML), type = "multipart/mixed; boundary=x" },
      { name = "x.eml", size = #EML, read = (function()
        local left = { EML:sub(1, 5), EML:sub(6) }
        return function() return table.remove(left, 1) end
      end)() } } do
      local part = assert(part_of(given, 1))
      assert.equal(EML, part.data)
      assert.is_nil(part.reader)
      assert.is_nil(part.size)
    end
    assert.is_truthy(assert(part_of({ path = file(EML, ".eml"), type = "application/octet-stream" }, 1)).reader)
    assert.is_truthy(assert(part_of({ path = file(EML), type = "text/message/" }, 1)).reader)
  end)

  it("lays_an_eml_out_as_a_message_and_not_as_base64", function()
    local m = assert(core.message { mail_from = "a@x.example", rcpt_to = { "b@x.example" }, fields = {}, text = "see below",
      parts = { assert(part_of(file(EML, ".eml"), 1)) }, boundary = "b" })
    local what, bytes = m:pull(1e6)
    assert.equal("bytes", what)
    assert.is_truthy(bytes:find("Content-Type: message/rfc822", 1, true), bytes)
    assert.is_truthy(bytes:find("\r\n\r\nSubject: inner\r\n\r\nHi\r\n", 1, true), bytes)
  end)

  it("refuses_a_message_that_is_too_large_to_be_read_at_once", function()
    local path = file("", ".eml")
    local f = assert(io.open(path, "wb"))
    assert(f:seek("set", limits.message_octets))
    f:write "x"
    f:close()
    refused(path, "SIZE", tostring(limits.message_octets))
    refused({ name = "x.eml", size = 2 ^ 53, read = function() error "not called" end }, "SIZE", "9007199254740992 octets")
    assert.is_truthy(assert(part_of({ path = path, type = "application/octet-stream" }, 1)).reader)
  end)

  it("refuses_a_message_that_is_not_of_its_size", function()
    local function of(pieces, size)
      return { name = "x.eml", size = size, read = function() return table.remove(pieces, 1) end }
    end
    refused(of({ "abc" }, 4), "FILE", "fewer octets")
    refused(of({ "abc", "de" }, 4), "FILE", "more octets")
    refused({ name = "x.eml", size = 4, read = function() return nil, "disk on fire" end }, "FILE", "disk on fire")
    assert.equal("", assert(part_of(of({}, 0), 1)).data)
  end)
end)
