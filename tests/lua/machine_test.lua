-- What plain Lua can tell about the machine.
local machine = require "directmail.host.machine"

describe("machine.read", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function write(bytes)
    local file = assert(io.open(path, "wb"))
    file:write(bytes)
    file:close()
  end

  it("brings all octets", function()
    for _, bytes in ipairs { "", "a", "a\0b\r\n\26\255", ("x"):rep(100000) } do
      write(bytes)
      assert.equal(bytes, machine.read(path))
      assert.equal(bytes, machine.read(path, #bytes))
    end
  end)

  it("refuses a larger file than it may bring", function()
    write "12345"
    assert.same({ nil, "larger than 4 octets" }, { machine.read(path, 4) })
  end)

  it("says why not, without the path", function()
    assert.same({ nil, "no such file or directory" }, { machine.read(path .. ".absent") })
    assert.same({ nil, "is a directory" }, { machine.read "/" })
    assert.same({ nil, "is a directory" }, { machine.read("/", 10) })
  end)
end)

describe("machine.full_name", function()
  it("is a name with a dot, or nothing", function()
    assert.equal("host.example.com", machine.full_name "host.example.com")
    for _, name in ipairs { "localhost", "no-host-of-this-name" } do assert.is_nil(machine.full_name(name)) end
    assert.is_nil(machine.full_name(nil))
    assert.is_nil(machine.full_name "ends-with-a-dot.")
  end)
end)
