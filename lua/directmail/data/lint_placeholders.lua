--- Placeholders of templates, as patterns.
-- Made by src/data/generate.lua from lint_placeholders.tsv; change it there.
-- @module directmail.data.lint_placeholders
-- luacheck: no max line length
return {
  { style = "at", pattern = "@@[%a_][%w_.]*@@", where = "any" },
  { style = "brackets", pattern = "%[%[[%w_.: -]+%]%]", where = "any" },
  { style = "capitals", pattern = "%[%u[%u%d_]+%]", where = "underscore" },
  { style = "erb", pattern = "<%%=?[^%%>]+%%>", where = "any" },
  { style = "jinja", pattern = "{%%%-?%s*%a[^%%{}%c]*%%}", where = "any" },
  { style = "mailchimp", pattern = "%*|[%w_:.-]+|%*", where = "any" },
  { style = "mustache", pattern = "{{{?[%w_.#/^&>!][^{}%c]*}?}}", where = "places" },
  { style = "percent", pattern = "%%[%a_][%w_.-]*%%", where = "words" },
  { style = "percent2", pattern = "%%%%[%a_][%w_.-]*%%%%", where = "words" },
  { style = "ruby", pattern = "#{[%w_.%[%]@-]+}", where = "any" },
  { style = "service", pattern = "{[%w_.-]+}", where = "text" },
  { style = "shell", pattern = "%${[%w_.%[%]-]+}", where = "any" },
  { style = "smarty", pattern = "{%$[%w_.>-]+}", where = "any" },
}
