-- src/data: the generated tables are what the rows say, and a bad row is refused by file and line.
local lua = arg and arg[-1] or "lua5.4"
for i = -1, -20, -1 do
  if arg and arg[i] then lua = arg[i] end
end
if not lua:find("lua", 1, true) then lua = "lua5.4" end

local function run(command)
  local pipe = assert(io.popen(command .. ' 2>&1; echo "exit $?"'))
  local out = pipe:read("*a")
  pipe:close()
  return tonumber(out:match("exit (%d+)\n$")), out
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read("*a")
  f:close()
  return text
end

describe("data", function()
  local dir

  setup(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(os.execute(("mkdir -p '%s/src/core' '%s/lua/directmail' && cp -r src/data '%s/src/' && cp -r include '%s/' && "
      .. "cp src/core/region.inc '%s/src/core/' && cp -r lua/directmail/data '%s/lua/directmail/'"):format(dir, dir, dir, dir, dir, dir)))
  end)

  teardown(function() os.execute(("rm -rf '%s'"):format(dir)) end)

  local function generate(option) return run(("'%s' '%s/src/data/generate.lua' %s"):format(lua, dir, option or "")) end

  it("is_committed_as_the_rows_say", function()
    local status, out = run(("'%s' src/data/generate.lua --check"):format(lua))
    assert.equal(0, status, out)
  end)

  it("comes_out_the_same_each_time", function()
    local before = read(dir .. "/lua/directmail/data/smtp_errors.lua")
    assert.equal(0, (generate()))
    assert.equal(before, read(dir .. "/lua/directmail/data/smtp_errors.lua"))
    assert.equal(0, (generate("--check")))
  end)

  it("names_the_file_that_differs_and_the_one_that_is_missing", function()
    local path = dir .. "/lua/directmail/data/limits.lua"
    write(path, read(path) .. "-- by hand\n")
    os.remove(dir .. "/src/core/region.inc")
    local status, out = generate("--check")
    assert.equal(1, status)
    assert.is_truthy(out:find("lua/directmail/data/limits.lua is not what", 1, true), out)
    assert.is_truthy(out:find("src/core/region.inc is missing", 1, true), out)
    assert.equal(0, (generate()))
    assert.equal(0, (generate("--check")))
  end)

  it("refuses_an_option_that_it_does_not_know", function()
    assert.equal(2, (generate("--chek")))
  end)

  -- a row added behind the last one, and the words of the refusal
  local bad = {
    { "limits.tsv", "reply_line\t1\toctets\tx\ty", "name reply_line is there already" },
    { "limits.tsv", "new\tmany\toctets\tx\ty", "value is no number" },
    { "limits.tsv", "new\t1\toctets\tx", "4 columns, not 5" },
    { "limits.tsv", "new\t1\toctets\tx\ty\tz", "more than 5 columns" },
    { "limits.tsv", "new\t1\t\tx\ty", "column unit is empty" },
    { "limits.tsv", "rate_new\t1\tmails\tx\ty", "needs a row rate_new_seconds" },
    { "types.tsv", "PDF\tapplication/pdf\tx", "lower case" },
    { "types.tsv", "new\tpdf\tx", "no media type" },
    { "regions.tsv", "moon-1\tMoon\tdm.example.com\t-\t-\t-\t-\tyes\tx", "region id" },
    { "regions.tsv", "mo-north-1\tMoon\tdm.example.com\t-\t-\t-\t-\tyes\tx", "no host of the service" },
    { "routes.tsv", "R5\tmoon\t-\t-\tcn-hangzhou\tx\ty", "not one of: cn us sg other" },
    { "routes.tsv", "R5\tcn\t-\t-\tmo-north-1\tx\ty", "not in regions.tsv" },
    { "hints.tsv", "long\t" .. ("x"):rep(300) .. "\ty", "more than 220" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t999\tx\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "no reply code" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t550\tX\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "has capitals" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t550\t[x\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "malformed pattern" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t550\tx+y\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "slow on a hostile text" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t550\tx\t-\tpermanent\tno\tnobody\t-\tc\tr\ts\t因\t法", "blame is \"nobody\"" },
    { "smtp_errors.tsv", "new\trecipient:qq\tany\t-\t550\tx\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "scopes must stand in the order" },
    { "smtp_errors.tsv", "gen.421\tgeneric\tany\t-\t421\tx\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "id gen.421 is there already" },
    { "smtp_errors.tsv", "new\tgeneric\tany\t-\t550\tx\t-\tpermanent\tno\tnone\t-\tc\tr\ts\tc\t法", "cause_zh is not Chinese" },
    { "smtp_errors.tsv", "gen.556\tgeneric\tany\t-\t556\tx\t-\tpermanent\tno\tnone\t-\tc\tr\ts\t因\t法", "the Chinese of one id differs" },
    { "api_errors.tsv", "new code\t400\tgateway\tc\tr\tREFUSED\tnone\tno\trefused\ts\t因\t法", "code is no code" },
    { "api_errors.tsv", "lower\t400\tgateway\tc\tr\tREFUSED\tnone\tno\trefused\ts\t因\t法", "code is no code" },
    { "api_errors.tsv", "FORBIDDEN\t400\tgateway\tc\tr\tREFUSED\tnone\tno\trefused\ts\t因\t法", "key forbidden is there already" },
    { "api_errors.tsv", "HTTP 418\t413\tgateway\tc\tr\tREFUSED\tnone\tno\trefused\ts\t因\t法", "code is no code" },
    { "api_errors.tsv", "New\t200\tgateway\tc\tr\tREFUSED\tnone\tno\trefused\ts\t因\t法", "no status of a refusal" },
    { "api_errors.tsv", "New\t400\tgateway\tc\tr\tADDRESS\tnone\tno\trefused\ts\t因\t法", "our is \"ADDRESS\"" },
    { "api_errors.tsv", "New\t400\tgateway\tc\tr\tREFUSED\tnobody\tno\trefused\ts\t因\t法", "blame is \"nobody\"" },
    { "api_errors.tsv", "New\t400\tgateway\tc\tr\tREFUSED\tnone\tnever\trefused\ts\t因\t法", "retry is \"never\"" },
    { "api_errors.tsv", "New\t400\tgateway\tc\tr\tREFUSED\tnone\tno\tsent\ts\t因\t法", "outcome is \"sent\"" },
    { "carry.tsv", "new\tto\tover\tnowhere\tx\ty", "limit is not in limits.tsv" },
    { "carry.tsv", "new\tto\tsometimes\t-\tx\ty", "when is \"sometimes\"" },
    { "lint_rules.tsv", "html.only\t1\t-\tany\tw\tc\tr\ts\t甲乙\t甲乙\t甲乙", "id html.only is there already" },
    { "lint_rules.tsv", "House\t1\t-\tany\tw\tc\tr\ts\t甲乙\t甲乙\t甲乙", "family.name" },
    { "lint_rules.tsv", "a.b\tmuch\t-\tany\tw\tc\tr\ts\t甲乙\t甲乙\t甲乙", "weight is no number" },
    { "lint_rules.tsv", "a.b\t1\t-\ttrigger\tw\tc\tr\ts\t甲乙\t甲乙\t甲乙", "kind is \"trigger\"" },
    { "lint_rules.tsv", "a.b\t1\t-\tany\tw %s\tc\tr\ts\t甲乙\t甲乙\t甲乙", "take other values" },
    { "lint_rules.tsv", "a.b\t1\t-\tany\tw\tc\tr\ts\twords\t甲乙\t甲乙", "what_zh is not Chinese" },
    { "lint_words.tsv", "nobody\tx\t-\t-\t-\ty", "category is not in lint_categories.tsv" },
    { "lint_words.tsv", "buy\tBuy\t-\t-\t-\ty", "phrase has capitals" },
    { "lint_hosts.tsv", "shortener\thttps://bit.ly\tx", "host is none" },
    { "lint_hosts.tsv", "shortener\tbit.ly\tx", "both shortener bit.ly is there already" },
    { "lint_placeholders.tsv", "new\t{x}\t{y}\tany\tz", "the pattern does not find the example" },
    { "special_addresses.tsv", "10.0.0.0\tx\ty", "prefix is none" },
  }
  for _, case in ipairs(bad) do
    it("refuses_a_bad_row_by_file_and_line: " .. case[1] .. ", " .. case[3], function()
      local path = dir .. "/src/data/" .. case[1]
      local good = read(path)
      local _, lines = good:gsub("\n", "")
      write(path, good .. case[2] .. "\n")
      local status, out = generate("--check")
      write(path, good)
      assert.equal(1, status)
      assert.is_truthy(out:find(case[1] .. ":" .. lines + 1 .. ": ", 1, true), out)
      assert.is_truthy(out:find(case[3], 1, true), out)
    end)
  end

  it("needs_a_line_end_behind_the_last_row", function()
    local path = dir .. "/src/data/hints.tsv"
    local good = read(path)
    write(path, good:sub(1, -2))
    local status, out = generate("--check")
    write(path, good)
    assert.equal(1, status)
    assert.is_truthy(out:find("no line end", 1, true), out)
  end)

  it("has_the_numbers_that_the_rest_builds_on", function()
    local limits = require "directmail.data.limits"
    for name, value in pairs { reply_line = 4096, reply_lines = 100, commands_outstanding = 16384, replies_outstanding = 100,
      message_octets = 15728640, message_warn_octets = 15000000, attachments = 100, recipients = 100, rate_smtp = 5000,
      rate_smtp_seconds = 180, rate_single = 100, rate_batch = 10, rate_batch_mainland = 20, rate_recipient = 50,
      rate_recipient_seconds = 300, api_bcc = 2, api_headers = 10, profile_octets = 65536 } do
      assert.equal(value, limits[name], name)
    end
  end)

  it("knows_common_files_and_keywords_as_extensions", function()
    local types = require "directmail.data.types"
    assert.equal("application/pdf", types.pdf)
    assert.equal("image/png", types.png)
    assert.equal("text/calendar", types.ics)
    assert.equal("message/rfc822", types.eml)
    assert.equal("application/x-7z-compressed", types["7z"])
    assert.equal("application/vnd.openxmlformats-officedocument.wordprocessingml.document", types.docx)
    for extension, name in pairs(types) do
      assert.is_truthy(extension:find("^[%l%d]+$"))
      assert.is_truthy(name:find("^%l+/%S+$"))
    end
  end)

  it("says_why_the_api_cannot_carry_something", function()
    local limits = require "directmail.data.limits"
    local carry = require "directmail.data.carry"
    local seen = {}
    for _, row in ipairs(carry) do
      seen[row.id] = row
      assert.is_true(#row.reason > 20)
      if row.limit then assert.is_number(limits[row.limit]) end
    end
    for _, id in ipairs { "attachments", "inline", "raw", "cc", "bcc", "headers", "header", "html", "text" } do
      assert.is_table(seen[id], id)
    end
    assert.equal("Message-ID", seen.header.names[1])
  end)
end)
