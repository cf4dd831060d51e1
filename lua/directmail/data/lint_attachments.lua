--- Kinds of attachments that filters stop, by extension.
-- Made by src/data/generate.lua from lint_attachments.tsv; change it there.
-- @module directmail.data.lint_attachments
-- luacheck: no max line length
return {
  exe = "executable",
  scr = "executable",
  bat = "executable",
  cmd = "executable",
  com = "executable",
  pif = "executable",
  vbs = "executable",
  js = "executable",
  jar = "executable",
  msi = "executable",
  ps1 = "executable",
  lnk = "executable",
  iso = "executable",
  img = "executable",
  hta = "executable",
  docm = "macro",
  xlsm = "macro",
  pptm = "macro",
  zip = "archive",
  ["7z"] = "archive",
  rar = "archive",
}
