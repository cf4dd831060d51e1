-- directmail.transcript: lines for people, one a packet.
local transcript = require "directmail.transcript"

local function recorder(verbose)
  local lines, clock = {}, 100
  local record = transcript.recorder(function(line) lines[#lines + 1] = line end, verbose or 1, function() return clock end)
  return record, lines, function(seconds) clock = clock + seconds end
end

describe("transcript", function()
  it("begins_each_line_with_the_time_since_it_began_and_the_mark", function()
    local record, lines, pass = recorder()
    record("*", "connected to h:25")
    pass(0.0414)
    record("<", "220 hello\r\n")
    pass(61)
    record("~>", "QUIT\r\n")
    assert.same({ "   0.000 *  connected to h:25", "   0.041 <  220 hello", "  61.041 ~> QUIT" }, lines)
  end)

  it("puts_the_lines_of_a_packet_into_one_and_tells_the_sides_apart", function()
    local record, lines = recorder()
    record("<~", "250-AUTH PLAIN\r\n250-8BITMIME\r\n250 DSN\r\n")
    record("~>", "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n")
    record("<", "250-a\n250 b\n")
    assert.same({ "   0.000 <~ 250-AUTH PLAIN · 250-8BITMIME · 250 DSN",
      "   0.000 ~> MAIL FROM:<a@x.example>  RCPT TO:<b@x.example>  DATA", "   0.000 <  250-a · 250 b" }, lines)
  end)

  it("counts_octets_of_what_is_said_when_asked_for_more", function()
    local record, lines = recorder(2)
    record(">", "QUIT\r\n")
    record("*", "connected")
    assert.same({ "   0.000 >  QUIT   (6 octets)", "   0.000 *  connected" }, lines)
  end)

  it("shows_control_characters_and_broken_utf8_escaped", function()
    local record, lines = recorder()
    record("<", "220 \27[2J\7 \255 ok\r\n")
    assert.same({ "   0.000 <  220 \\27[2J\\7 \\255 ok" }, lines)
    record("<", "220 a\rb\r\n")
    assert.equal("   0.000 <  220 a\\rb", lines[2])
  end)

  it("cuts_what_nobody_reads_and_still_counts_it", function()
    local record, lines = recorder(2)
    record("<", ("x"):rep(5000) .. "\r\n")
    assert.equal("   0.000 <  " .. ("x"):rep(2000) .. " …   (5002 octets)", lines[1])
    record("<", ("x"):rep(2000) .. "\r\n")
    assert.equal("   0.000 <  " .. ("x"):rep(2000) .. "   (2002 octets)", lines[2])
    record("<", "220 " .. ("ä"):rep(3000))            -- cut in the middle of a letter: escaped, still one clean line
    assert.is_nil(lines[3]:find "[%c]")
  end)

  it("is_silent_about_nothing", function()
    local record, lines = recorder()
    record(">", "")
    assert.same({}, lines)
  end)
end)
