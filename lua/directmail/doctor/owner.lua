--- The TXT record that proves the domain to be yours.
local names = require "directmail.doctor.names"

return {
  id = "dns.owner",
  title = "ownership record",
  needs = { "dns.domain" },
  network = true,
  run = function(look)
    local no = look:no_dns()
    if no then return nil, no end
    local name = "aliyundm." .. look.domain
    local texts, why = look:texts(name)
    if not texts then return nil, ("%s: %s"):format(name, names.words(why)) end
    local wanted = look:wanted()
    local value = wanted and wanted.owner
    local record = value and { name = name, type = "TXT", value = value }
    if #texts == 0 then
      return name .. ": none", { { status = "fail", rule = "dns.owner", cause = "no record at " .. name, record = record,
        remedy = not value and "publish the value that the console shows for this domain (Email Domains > Configure)" or nil } }
    end
    for _, text in ipairs(texts) do
      if value and text == value or not value and text:find "^%x+$" and #text == 20 then return ("%s is %s"):format(name, text) end
    end
    return texts[1], { { status = "fail", rule = "dns.owner", cause = ("%s is \"%s\", %s"):format(name, texts[1]:sub(1, 80),
      value and "which is not the value of this domain" or "which is not of 20 hexadecimal digits"), record = record,
      remedy = not value and "publish the value that the console shows for this domain" or nil } }
  end,
}
