--- The mistakes of signing, each with its cause and its remedy.
-- The rules that they break stand in https://www.alibabacloud.com/help/en/direct-mail/signature (V1) and
-- https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature (V3); who makes which
-- mistake is known from public reports about clients of the API.
-- @module directmail.sign.mistakes
local M = {}

local KEEPS = "RFC 3986 keeps only A-Z a-z 0-9 - _ . ~"
local AS_SENT = "sign exactly what is sent"
local UTF8 = "turn the text into UTF-8 before it is signed and sent"

-- id -> { cause, remedy }; a cause is a format for what was found
local WORDS = {
  -- how a value was encoded
  ["space-as-plus"] = { "a space was signed as + (form encoding), or a + was sent bare and arrived as a space",
    "encode a space as %20 and + as %2B, when signing and when sending; form encoders (URLEncoder, quote_plus, QueryEscape) do neither" },
  ["plus-sent-bare"] = { "+ was signed as %%2B but sent bare, and a bare + arrives as a space", "encode + as %2B when sending too" },
  ["plus-left-bare"] = { '"+" was left unescaped; ' .. KEEPS, "encode + as %2B" },
  ["star-left-bare"] = { '"*" was left unescaped; ' .. KEEPS,
    "encode * as %2A too (URLEncoder of Java and encodeURIComponent of JavaScript leave it)" },
  ["marks-left-bare"] = { "%s was left unescaped; " .. KEEPS,
    "encode ! ' ( ) * too, as %21 %27 %28 %29 %2A (encodeURIComponent of JavaScript leaves them)" },
  ["slash-left-bare"] = { '"/" was left unescaped; ' .. KEEPS,
    "encode / as %2F, also between the two ampersands (quote of Python takes safe='' for that)" },
  ["value-not-encoded"] = { "%s stands there as it is: the value was joined without being encoded",
    "encode each name and each value before joining them with = and &" },
  ["tilde-encoded"] = { '"~" was escaped; ' .. KEEPS, "leave ~ as it is: put ~ back for %7E after encoding (URLEncoder of Java, old PHP)" },
  ["escaped-too-much"] = { "%s was escaped; " .. KEEPS, "leave these characters as they are" },
  ["lower-case-hex"] = { "the hex digits are small letters (%%2f)", "write capitals: %2F" },
  ["encoded-twice"] = { "the value was encoded once too often before signing", "give raw values to whatever signs" },
  ["sent-encoded-twice"] = { "the value was signed right, but encoded once too often when it was sent", "encode each value once in what is sent" },
  ["not-encoded-again"] = { "the joined query was not encoded a second time",
    "encode the whole canonical query once more behind METHOD&%2F&" },
  ["separators-left-bare"] = { "the second encoding left & and = as they are (encodeURI of JavaScript does)",
    "encode every octet of the canonical query but A-Z a-z 0-9 - _ . ~" },
  ["query-encoded-too-often"] = { "the joined query was encoded once too often", "encode the canonical query once behind METHOD&%2F&" },
  -- which octets a text is
  ["gbk"] = { "the text was signed in another charset than UTF-8 (GBK or the like)", UTF8 },
  ["latin1"] = { "the text was signed in Latin-1 (or Windows-1252), not in UTF-8", UTF8 },
  ["cesu-8"] = { "a character beyond U+FFFF was encoded as two surrogates (CESU-8)", "use real UTF-8, where it has four octets" },
  ["double-utf8"] = { "UTF-8 was read as Latin-1 and encoded again (mojibake)", "read the source as UTF-8" },
  ["sent-double-utf8"] = { "the text was signed right, but sent as UTF-8 that was read as Latin-1 and encoded again",
    "send the octets that were signed; look at the charset of the HTTP client" },
  ["sent-not-utf8"] = { "octets that are not UTF-8 arrived, and the service put U+FFFD in their place", UTF8 .. "; look at the charset of the HTTP client" },
  ["normalised"] = { "the text was normalised between signing and sending: %s", AS_SENT .. "; nothing is normalised by the service" },
  ["byte-order-mark"] = { "a byte order mark (U+FEFF) stands on one side only: it was signed, or sent, but not both", "take it off when the file is read" },
  ["line-end-changed"] = { "line ends changed between signing and sending (CR LF against LF)", AS_SENT },
  ["trimmed"] = { "white space at the %s was lost or added between signing and sending", AS_SENT },
  ["zero-octet"] = { "the value ends at a zero octet on one side", "take the zero octet out, or hand the length over with the text" },
  ["html-escaped"] = { "the value is escaped for HTML (&amp; &lt;) on one side only", AS_SENT .. ": escape before signing, or not at all" },
  ["cut"] = { "the value was sent without being encoded: %s in it ends it", "encode each value when sending too" },
  ["spelling"] = { "the same thing is written in two ways: %s",
    "make a text of every number and boolean once, sign it and send it; a whole number has no .0" },
  ["letter-case"] = { "the two sides differ in the case of letters only", AS_SENT },
  ["placeholder"] = { "%s stands where a value should be", "leave out parameters that have no value" },
  ["value-differs"] = { "one value was signed and another was sent%s", AS_SENT },
  -- values with a meaning of their own
  ["time-twice"] = { "the time was made twice, once for signing and once for sending: %s", "make the time once, sign it and send the same text" },
  ["time-format"] = { "the time is not written as yyyy-MM-ddTHH:mm:ssZ on both sides: %s",
    "write it in UTC, without fractions and without an offset, and send what was signed" },
  ["time-zone"] = { "the time is off by %s: local time was written as if it were UTC", "make the time in UTC" },
  ["nonce-twice"] = { "the nonce was made twice, once for signing and once for sending", "make the nonce once a request, sign it and send the same text" },
  ["another-key"] = { "the request was sent with another AccessKey id than the one that was signed", "take id and secret out of one pair" },
  -- which parameters there are
  ["empty-dropped"] = { "%s is empty: it was sent, but not signed", "sign empty values as Name=, or do not send them" },
  ["empty-not-sent"] = { "%s is empty: it was signed, but not sent", "send empty values as Name=, or do not sign them; some HTTP clients drop them" },
  ["added-after-signing"] = { "%s was sent, but not signed: it was added after signing", "add everything first and sign last" },
  ["not-sent"] = { "%s was signed, but did not arrive", "send every parameter that was signed, in the query or in the form" },
  ["signature-signed"] = { "an old Signature was signed along", "leave Signature out of what is signed; a repeated request is signed anew" },
  ["name-case"] = { "%s: the name is written in another case than the one that was sent", "write the name the same way when signing and when sending" },
  ["renamed"] = { "%s: the name was changed between signing and sending", "write the name the same way when signing and when sending" },
  ["sent-twice"] = { "%s is there twice on one side", "give each parameter once" },
  -- their order
  ["sort-ignores-case"] = { "the parameters were sorted without regard to case", "sort names by their octets: capitals stand before small letters" },
  ["sort-by-number"] = { "numbered parameters were sorted by their number", "sort names by their octets: Foo.10 stands before Foo.2" },
  ["sort-by-pair"] = { "whole name=value pairs were sorted", "sort the names, then join: Foo stands before Foo.1" },
  ["not-sorted"] = { "the parameters are not sorted", "sort them by the octets of their names" },
  -- the rest of the string
  ["method-differs"] = { "it was signed for %s, and sent with %s", "sign the method that is sent, in capitals; a redirect may change it" },
  ["path-differs"] = { "the path differs", "Direct Mail's path is always /, which V1 writes as %2F" },
  ["surplus-end"] = { "something stands behind the end of what was signed: %s", "sign without a line end or blank behind it" },
  ["crlf"] = { "the lines of the canonical request end in CR LF", "join the lines with LF alone" },
  ["empty-line"] = { "the empty line before the signed headers is missing (each header ends in LF, then the join adds one more)",
    "end every header line with LF, the last one too" },
  -- V3 headers and body
  ["host-port"] = { "host was signed as %s, and the HTTP client sent %s", "sign Host as it is sent: with the port unless it is the default one" },
  ["header-added"] = { "the header %s was sent, but not signed: the HTTP client or a proxy added it",
    "set it yourself before signing; host, content-type and every x-acs-* header are signed" },
  ["header-not-sent"] = { "the header %s was signed, but did not arrive", "send every header that was signed; look for a proxy that drops headers" },
  ["header-name-case"] = { "the name of a header is not in small letters: %s", "write header names in small letters in what is signed" },
  ["header-not-trimmed"] = { "blanks stand around the value of the header", "take blanks off both ends of a header's value before signing" },
  ["charset-added"] = { "the HTTP client sent another content-type than the one that was signed: %s",
    "set Content-Type yourself, to the text that was signed" },
  ["body-changed"] = { "the body that arrived is not the one that was hashed",
    "hash the octets that are sent; look for a second encoding, a charset or a proxy" },
  ["body-not-hashed"] = { "the hash is that of an empty body, but a body was sent", "hash the octets of the body that is sent" },
  ["body-lost"] = { "a body was hashed, but none arrived", "send the body; with GET there is none, so put the parameters into the query" },
  ["hash-capitals"] = { "the hash is written in capitals", "write hex digits of a hash in small letters" },
  ["signed-headers"] = { "the list of signed headers differs", "list the signed headers' names in small letters, sorted, with ; between them" },
  ["algorithm"] = { "one side signs with %s, the other with %s",
    "sign and send with one method; ACS3-HMAC-SHA256 is the newer one" },
  ["canonical-request"] = { "the canonical requests differ, and their hashes do not tell where",
    "give the canonical request of the call with --request, not only its hash" },
  ["no-canonical-request"] = { "the canonical requests differ, and the answer shows only the hash of its own",
    "compare yours with the rules line by line; directmail sign --json computes it from the parts of the request" },
  -- nothing differs
  ["secret"] = { "both strings are equal, so the secret is another one: of another AccessKey, %s",
    "copy the secret again for the AccessKey id that is sent, without blanks, quotes or a line end around it" },
  ["secret-shape"] = { "both strings are equal, and the secret that was used %s", "copy the secret again, without anything around it" },
  ["message-cut"] = { "the answer is cut off in the middle of its string; up to there both are equal", "take the whole answer: some logs shorten long lines" },
  -- seen in what arrived, without our side
  ["plus-arrived-as-space"] = { "%s arrived with a space in it, which no key or token has: a + was sent bare",
    "encode + as %2B when signing and when sending" },
  ["arrived-encoded"] = { "%s arrived still encoded: it was encoded once too often before sending", "give raw values to whatever signs and sends" },
  ["arrived-double-utf8"] = { "%s arrived as UTF-8 that was read as Latin-1 and encoded again (mojibake)", "read the source as UTF-8" },
}

--- What is said about a mistake.
-- @tparam string id one of the mistakes
-- @tparam[opt] string ... what was found, for the cause
-- @treturn string cause
-- @treturn string remedy
function M.say(id, ...)
  local words = WORDS[id]
  return words[1]:format(...), words[2]
end

return M
