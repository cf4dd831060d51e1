// Write the mails that tests/support/random_messages.lua meant with nodemailer: other people's encoders.
// node compose.mjs MEANT.jsonl DIR    writes DIR/N.eml
import { readFileSync, writeFileSync } from 'node:fs'
import MailComposer from 'nodemailer/lib/mail-composer'

const [meant, dir] = process.argv.slice(2)
const list = x => Array.isArray(x) ? x : []
const people = boxes => list(boxes).map(b => ({ name: b.name, address: b.address }))

for (const line of readFileSync(meant, 'utf8').trimEnd().split('\n')) {
  const m = JSON.parse(line)
  const mail = new MailComposer({
    from: people(m.from), to: people(m.to), cc: people(m.cc), replyTo: people(m.reply_to), subject: m.subject,
    messageId: m.message_id, date: new Date(m.date * 1000), references: list(m.references), inReplyTo: m.in_reply_to,
    headers: list(m.headers).map(([key, value]) => ({ key, value })), text: m.text, html: m.html,
    icalEvent: m.calendar && { content: m.calendar.data.replace(/\n/g, '\r\n'), method: m.calendar.method, filename: false },
    // forwarded mails it sends inline, where mailparser takes them apart
    attachments: list(m.attachments).filter(a => !a.type.startsWith('message/')).map(a => ({ filename: a.name ?? false, content: Buffer.from(a.data, 'hex'), contentType: a.type, cid: a.cid })),
    newline: 'windows', disableFileAccess: true, disableUrlAccess: true,
  })
  writeFileSync(`${dir}/${m.n}.eml`, await mail.compile().build())
}
