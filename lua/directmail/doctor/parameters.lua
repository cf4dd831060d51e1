--- The parameters of a call as the console has them: sender, tag and template, looked up.
local option = require "directmail.option"

-- Names of a list of entries.
local function names_of(entries, field)
  local names = {}
  for _, entry in ipairs(entries) do
    if type(entry[field]) == "string" then names[#names + 1] = entry[field] end
  end
  return names
end

-- A name against a list: a finding when it is not there.
local function compare(name, names, what, rule, remedy)
  local other
  for _, one in ipairs(names) do
    if one == name then return nil end
    if one:lower() == name:lower() then other = one end
  end
  other = other or option.nearest(name, names)
  return { status = "fail", rule = rule, cause = ('the console has no %s "%s"%s'):format(what, name, other and (' (it has "%s")'):format(other) or ""),
    remedy = remedy }
end

return {
  id = "parameters",
  title = "sender, tag and template as in the console",
  needs = { "api.call" },
  network = true,
  run = function(look)
    if not look:key() then return nil, "only the API knows it, and there is no AccessKey" end
    local found, parts = {}, {}
    local entry, e
    if look.sender then
      entry, e = look:console_sender()
      if entry == nil then return look:unanswered(e) end
      if entry then
        parts[1] = "AccountName " .. entry.AccountName
        local reply = tostring(entry.ReplyStatus)
        if type(entry.ReplyAddress) == "string" and entry.ReplyAddress ~= "" then
          parts[#parts + 1] = ("reply address %s (%s)"):format(entry.ReplyAddress, reply == "0" and "verified"
            or "not verified: ReplyToAddress=true will not work")
        end
      end
    end
    local tags, no_tags = look:list("QueryTagByParam", look.tag and { KeyWord = look.tag:sub(1, 50), PageNo = 1, PageSize = 50 } or { PageNo = 1,
      PageSize = 50 })
    if not tags then return look:unanswered(no_tags) end
    local templates, no_templates = look:list("QueryTemplateByParam", { PageNo = 1, PageSize = 50 })
    if not templates then return look:unanswered(no_templates) end
    if look.tag then
      local names = names_of(tags, "TagName")
      if #names == 0 then names = names_of(look:list("QueryTagByParam", { PageNo = 1, PageSize = 50 }) or {}, "TagName") end
      found[#found + 1] = compare(look.tag, names, "tag", "parameters.tag",
        "correct it, or create the tag some ten minutes before its first use: directmail api CreateTag")
      if #found == 0 then parts[#parts + 1] = "tag " .. look.tag end
    else
      parts[#parts + 1] = ("%d tags"):format(#tags)
    end
    if look.template then
      local wrong = compare(look.template, names_of(templates, "TemplateName"), "template", "parameters.template",
        "correct it: directmail api QueryTemplateByParam lists them")
      for _, one in ipairs(templates) do
        if one.TemplateName == look.template and tostring(one.TemplateStatus) ~= "2" then
          wrong = { status = "fail", rule = "parameters.template",
            cause = ('the template "%s" is not approved (TemplateStatus %s)'):format(look.template, tostring(one.TemplateStatus)),
            remedy = "wait for its approval, or mend what the console says about it" }
        end
      end
      found[#found + 1] = wrong
      if not wrong then parts[#parts + 1] = ("template %s, approved"):format(look.template) end
    else
      parts[#parts + 1] = ("%d templates"):format(#templates)
    end
    return table.concat(parts, ", "), found
  end,
}
