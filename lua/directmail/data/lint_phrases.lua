--- Phrases that lint looks for, by kind.
-- Made by src/data/generate.lua from lint_phrases.tsv; change it there.
-- @module directmail.data.lint_phrases
-- luacheck: no max line length
return {
  unsubscribe = { "unsubscribe", "unsubscription", "opt out", "opt-out", "stop receiving", "manage your subscription", "manage subscriptions", "email preferences", "退订", "取消订阅", "不再接收", "邮件订阅设置" },
  contacts = { "to your contacts", "to your contact list", "to your address book", "to the address book", "your safe senders", "safe sender list", "safe senders list", "whitelist", "white list", "allow list", "allowlist", "通讯录", "联系人", "白名单", "收件人名单" },
  introduction = { "about us", "who we are", "about this newsletter", "we are a", "we make", "we build", "copyright", "©", "all rights reserved", " ltd", " inc.", " gmbh", " llc", " co.,", "limited", "有限公司", "关于我们", "公司简介", "版权所有", "我们是" },
  salutation = { "dear", "hi", "hello", "hey", "good morning", "good day", "greetings", "welcome", "尊敬的", "亲爱的", "您好", "你好", "致" },
  qrcode = { "qr code", "qr-code", "qrcode", "scan the code", "二维码", "扫码", "扫一扫" },
}
