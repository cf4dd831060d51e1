// The same mails through nodemailer's pool: node nodemailer.mjs PORT CONNECTIONS MAILS TEXT [ATTACHMENT]
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const nodemailer = createRequire(new URL("../node/package.json", import.meta.url))("nodemailer");
const [port, connections, mails, textFile, attachmentFile] = process.argv.slice(2);
const text = readFileSync(textFile, "utf8");
const attachments = attachmentFile ? [{ filename: "invoice.pdf", content: readFileSync(attachmentFile) }] : [];
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true, pool: true, maxConnections: Number(connections), maxMessages: Infinity,
});

let begun = 0;
async function work() {
  while (begun < Number(mails)) {
    const n = begun++;
    await transport.sendMail({
      from: "Example <noreply@mail.example.com>", to: `user${n}@example.com`, subject: `Your order ${n}`, text, attachments,
    });
  }
}
await Promise.all(Array.from({ length: Number(connections) }, work));
transport.close();
