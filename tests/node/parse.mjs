// Read mails with mailparser and print what is in them: one JSON object a line, in the form of
// tests/support/random_messages.lua.    node parse.mjs FILE...
import { readFileSync } from 'node:fs'
import { domainToASCII } from 'node:url'
import libmime from 'libmime'
import { simpleParser } from 'mailparser'

const options = { keepCidLinks: true, skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true, checksumAlgo: false }
const FIXED = new Set(['from', 'to', 'cc', 'bcc', 'reply-to', 'subject', 'date', 'message-id', 'in-reply-to', 'references', 'x-priority',
  'importance', 'list-unsubscribe', 'list-unsubscribe-post', 'x-alidm-trace', 'x-alidm-settings', 'mime-version'])

// mailparser shows A-labels as people write them, which is not what stands on the wire; and it gives a local part
// without quotes that has a dot at an end, which RFC 5321, 4.1.2, allows in quotes only.
function onTheWire(address) {
  const at = address.lastIndexOf('@')
  const local = address.slice(0, at), domain = address.slice(at + 1)
  return (/^\.|\.$/.test(local) ? `"${local}"` : local) + '@' + (/[^\0-\x7f]/.test(domain) ? domainToASCII(domain) : domain)
}

function people(field) {
  const all = field ? [].concat(field).flatMap(f => f.value) : []
  return all.filter(a => !a.group || a.group.length > 0).map(a => ({ name: a.name, address: onTheWire(a.address) }))
}

function lines(mail, name) {
  return mail.headerLines.filter(h => h.key === name).map(h => h.line.slice(h.line.indexOf(':') + 1).replace(/\r?\n/g, ''))
}

function one(mail, name) {
  const found = lines(mail, name)
  if (found.length > 1) throw new Error(`${name} stands ${found.length} times`)
  return found.length ? found[0].trim() : null
}

function read(mail) {
  const found = { attachments: [], headers: [], order: [] }
  for (const field of ['from', 'to', 'cc', 'replyTo']) found[field === 'replyTo' ? 'reply_to' : field] = people(mail[field])
  found.subject = mail.subject
  found.date = mail.date.getTime() / 1000
  found.message_id = mail.messageId
  found.in_reply_to = mail.inReplyTo
  found.references = mail.references && [].concat(mail.references)
  found.priority = mail.headers.get('priority')
  const unsubscribe = one(mail, 'list-unsubscribe')
  found.unsubscribe = unsubscribe && [...unsubscribe.matchAll(/<([^<>]*)>/g)].map(m => m[1])
  const trace = one(mail, 'x-alidm-trace')
  found.tag = trace && JSON.parse(Buffer.from(trace, 'base64')).TagName
  for (const { key, line } of mail.headerLines) {
    const name = line.slice(0, line.indexOf(':'))
    if (key.startsWith('content-')) continue
    found.order.push(name)
    // mailparser leaves fields that it does not know undecoded
    if (!FIXED.has(key)) found.headers.push([name, libmime.decodeWords(line.slice(name.length + 1).replace(/\r?\n/g, '').trim())])
  }
  // an empty part is shown as a line end: the CRLF that belongs to the boundary behind it (RFC 2046, 5.1.1)
  if (mail.text !== '\n') found.text = mail.text
  if (mail.html !== '\n') found.html = mail.html || null
  for (const part of mail.attachments) {
    const type = part.headers.get('content-type')
    if (part.contentType === 'text/calendar' && !part.contentDisposition) {
      found.calendar = { data: part.content.toString().replace(/\r\n/g, '\n'), method: type.params.method }
    } else {
      // a type that says nothing is replaced by the one that the name's ending tells: ours is what was sent
      found.attachments.push({ name: part.filename, type: type.value, disposition: part.contentDisposition, cid: part.cid, data: part.content.toString('hex') })
    }
  }
  return found
}

for (const path of process.argv.slice(2)) {
  try {
    console.log(JSON.stringify(read(await simpleParser(readFileSync(path), options))))
  } catch (e) {
    console.log(JSON.stringify({ broken: String(e) }))
  }
}
