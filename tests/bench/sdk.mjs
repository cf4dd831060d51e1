// The same calls through the official SDK: node sdk.mjs PORT IN_FLIGHT CALLS TEXT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../node/package.json", import.meta.url));
const { default: Client, SingleSendMailRequest } = require("@alicloud/dm20151123");
const { $OpenApiUtil } = require("@alicloud/openapi-core");

const [port, inFlight, calls, textFile] = process.argv.slice(2);
const text = readFileSync(textFile, "utf8");
const client = new Client(new $OpenApiUtil.Config({
  accessKeyId: "testid", accessKeySecret: "testsecretoftwentyeightletter", endpoint: `127.0.0.1:${port}`, protocol: "http",
}));

let begun = 0;
async function work() {
  while (begun < Number(calls)) {
    const n = begun++;
    await client.singleSendMail(new SingleSendMailRequest({
      accountName: "noreply@mail.example.com", addressType: 1, replyToAddress: false, fromAlias: "Example",
      toAddress: `user${n}@example.com`, subject: `Your order ${n}`, textBody: text,
    }));
  }
}
await Promise.all(Array.from({ length: Number(inFlight) }, work));
process.exit(0);
