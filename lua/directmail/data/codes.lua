--- The codes of errors and their sentences.
-- Made by src/data/generate.lua from DM_ERRORS in include/directmail.h; change it there.
-- @module directmail.data.codes
-- luacheck: no max line length
return {
  { name = "OPTION", text = "an option or argument cannot be used" },
  { name = "ADDRESS", text = "a mailbox address cannot be used" },
  { name = "HEADER", text = "a header field cannot be written" },
  { name = "FILE", text = "a file cannot be read or written" },
  { name = "SIZE", text = "the message is too large" },
  { name = "CONTENT", text = "the content cannot be sent as it is" },
  { name = "CREDENTIALS", text = "credentials are missing or unusable" },
  { name = "DNS", text = "a host name has no address" },
  { name = "CONNECT", text = "no connection was made" },
  { name = "TLS", text = "the connection cannot be made private" },
  { name = "TIMEOUT", text = "no answer came in time" },
  { name = "LOST", text = "the connection was lost" },
  { name = "PROTOCOL", text = "the server broke the rules of the protocol" },
  { name = "AUTH", text = "the server refused the user name or password" },
  { name = "REFUSED", text = "the server refused" },
  { name = "THROTTLED", text = "the service asks to go slower" },
  { name = "QUOTA", text = "the account's quota is used up" },
  { name = "SIGNATURE", text = "the service computed another signature" },
  { name = "CLOCK", text = "the clock is too far from the service's" },
}
