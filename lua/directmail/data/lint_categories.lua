--- Kinds of words that filters dislike, with the weight of a word in the text and in the subject.
-- Made by src/data/generate.lua from lint_categories.tsv; change it there.
-- @module directmail.data.lint_categories
-- luacheck: no max line length
return {
  buy = { body = 0.25, subject = 0.4, label = "a call to buy", zh = "催促购买的用语" },
  claim = { body = 0.3, subject = 0.5, label = "a promise too good to be true", zh = "夸大的承诺" },
  free = { body = 0.3, subject = 0.5, label = "a promise of something for nothing", zh = "免费或赠送的承诺" },
  ["gamble-adult"] = { body = 0.5, subject = 0.8, label = "gambling or adult content", zh = "赌博或成人内容" },
  health = { body = 0.4, subject = 0.7, label = "a drug or a cure", zh = "药品或疗效" },
  list = { body = 0.25, subject = 0.4, label = "the trade in lists and traffic", zh = "名单或流量买卖" },
  money = { body = 0.35, subject = 0.6, label = "money without work", zh = "轻松赚钱" },
  phish = { body = 0.5, subject = 0.8, label = "the words of phishing", zh = "钓鱼邮件的用语" },
  removal = { body = 0.2, subject = 0.3, label = "an excuse for the mail", zh = "为发信找的借口" },
  ["zh-adult-health"] = { body = 0.5, subject = 0.6, label = "adult content or a cure (Chinese)", zh = "成人内容或疗效" },
  ["zh-claim"] = { body = 0.3, subject = 0.4, label = "a superlative (Chinese)", zh = "绝对化用语" },
  ["zh-contact"] = { body = 0.3, subject = 0.4, label = "an invitation to another service (Chinese)", zh = "微信、QQ、二维码、网盘等引流" },
  ["zh-money"] = { body = 0.4, subject = 0.5, label = "money or invoices for sale (Chinese)", zh = "金钱、贷款或发票买卖" },
  ["zh-phish"] = { body = 0.5, subject = 0.6, label = "the words of phishing (Chinese)", zh = "钓鱼邮件的用语" },
  ["zh-promo"] = { body = 0.3, subject = 0.4, label = "promotion (Chinese)", zh = "促销用语" },
}
