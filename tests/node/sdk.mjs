// The official SDK of Direct Mail against the sandbox, unchanged but for the endpoint.
// Prints a line for each claim, `0 NAME` or `1 NAME`; what went wrong goes to stderr.
// Environment: those of `directmail sandbox`, and WEB = the URL of its inbox.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const dm = require('@alicloud/dm20151123')
const { default: Client, SingleSendMailRequest } = dm
const { $OpenApiUtil } = require('@alicloud/openapi-core')

const env = process.env
const api = new URL(env.DIRECTMAIL_API)

function client(more = {}) {
  return new Client(new $OpenApiUtil.Config({
    accessKeyId: env.ALIBABA_CLOUD_ACCESS_KEY_ID, accessKeySecret: env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
    endpoint: api.host, protocol: 'http', ...more,
  }))
}

function mail(more = {}) {
  return new SingleSendMailRequest({
    accountName: env.DIRECTMAIL_SENDER, addressType: 1, replyToAddress: false, toAddress: 'ann@example.net',
    subject: 'from the SDK', textBody: 'Hi', ...more,
  })
}

async function arrived(query) {
  const answer = await fetch(`${env.WEB}wait?timeout=5&${new URLSearchParams(query)}`)
  return answer.json()
}

async function refused(promise, status, code) {
  const error = await promise.then(() => assert.fail('it was accepted'), (e) => e)
  assert.equal(error.code, code, String(error))
  assert.equal(error.statusCode, status)
  return error
}

// Let the SDK believe in another time.
async function withClock(seconds, run) {
  const True = Date
  globalThis.Date = class extends True {
    constructor(...given) { given.length ? super(...given) : super(True.now() + seconds * 1000) }
    static now() { return True.now() + seconds * 1000 }
  }
  try { return await run() } finally { globalThis.Date = True }
}

// The SDK makes its nonce of host name, process and Math.random.
async function withDice(value, run) {
  const random = Math.random
  Math.random = () => value
  try { return await run() } finally { Math.random = random }
}

async function faults(rules) {
  const answer = await fetch(`${env.WEB}faults`, { method: 'PUT', body: rules })
  assert.equal(answer.status, 200)
}

const ascii = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i))

const claims = {
  async 'the SDK sends a mail, signed V3, and it lies in the inbox'() {
    const { body, statusCode } = await client().singleSendMail(mail({ subject: 'first' }))
    assert.equal(statusCode, 200)
    assert.match(body.envId, /^6\d{17}$/)
    assert.match(body.requestId, /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/)
    const found = await arrived({ to: 'ann@example.net', subject: 'first' })
    assert.equal(found.id, body.envId)
    assert.equal(found.request_id, body.requestId)
    assert.equal(found.via, 'api')
    assert.equal(found.text.trim(), 'Hi')
  },
  async 'signed V1 too'() {
    const { body } = await client({ signatureAlgorithm: 'v2' }).singleSendMail(mail({ subject: `${ascii} 您好 😀` }))
    const found = await arrived({ subject: '您好 😀' })
    assert.equal(found.id, body.envId)
    assert.equal(found.params.Subject, `${ascii} 您好 😀`)
  },
  async 'every printable character, Chinese, emoji and a megabyte of HTML arrive as they were'() {
    const htmlBody = `<body>${'发票 &amp; <b>bold</b>\r\n'.repeat(40000)}</body>`
    const subject = `${ascii}\u00a0您的发票 😀`
    const { body } = await client().singleSendMail(mail({ subject, htmlBody, fromAlias: '商店', replyAddress: 'help@example.org' }))
    const found = await arrived({ subject: '您的发票' })
    assert.equal(found.id, body.envId)
    assert.equal(found.subject, subject.trimStart())        // no header keeps a blank at its beginning
    assert.equal(found.html.trimEnd(), htmlBody)
    assert.equal(found.params.HtmlBody, htmlBody)
  },
  async 'with a wrong secret: SignatureDoesNotMatch, with the strings of the server'() {
    for (const signatureAlgorithm of [undefined, 'v2']) {
      const config = { accessKeySecret: 'wrong', ...(signatureAlgorithm && { signatureAlgorithm }) }
      await refused(client(config).singleSendMail(mail()), 400, 'SignatureDoesNotMatch')
    }
  },
  async 'with an unknown AccessKey id: InvalidAccessKeyId.NotFound'() {
    await refused(client({ accessKeyId: 'LTAInobodysKey' }).singleSendMail(mail()), 404, 'InvalidAccessKeyId.NotFound')
  },
  async 'with a clock that is 16 minutes off: InvalidTimeStamp.Expired; 14 are fine'() {
    for (const minutes of [16, -16]) {
      await withClock(minutes * 60, () => refused(client().singleSendMail(mail()), 400, 'InvalidTimeStamp.Expired'))
    }
    for (const minutes of [14, -14]) await withClock(minutes * 60, () => client().singleSendMail(mail()))
  },
  async 'with a nonce for the second time: SignatureNonceUsed'() {
    await withDice(0.25, () => client().singleSendMail(mail()))
    await withDice(0.25, () => refused(client().singleSendMail(mail()), 400, 'SignatureNonceUsed'))
    await withDice(0.75, () => client().singleSendMail(mail()))
  },
  async 'with a sender that is none: InvalidMailAddress.NotFound'() {
    const error = await refused(client().singleSendMail(mail({ accountName: 'nobody@mail.example.com' })), 404, 'InvalidMailAddress.NotFound')
    assert.match(error.message, /The specified mailAddress does not exist\./)
    assert.match(error.data.RequestId, /^[0-9A-F-]{36}$/)
  },
  async 'without a mandatory parameter: Missing and its name'() {
    await refused(client().singleSendMail(mail({ toAddress: undefined })), 400, 'MissingToAddress')
  },
  async 'other operations: what is made is listed, in the shapes of the SDK, and a bad value is refused'() {
    const c = client()
    assert.equal((await c.descAccountSummary(new dm.DescAccountSummaryRequest({}))).body.dailyQuota, 2000)
    const { tagId } = (await c.createTag(new dm.CreateTagRequest({ tagName: 'sdk', tagDescription: '您好' }))).body
    const tags = (await c.queryTagByParam(new dm.QueryTagByParamRequest({ keyWord: 'sdk', pageNo: 1, pageSize: 10 }))).body
    assert.deepEqual([tags.totalCount, tags.data.tag[0].tagId, tags.data.tag[0].tagDescription], [1, tagId, '您好'])
    await refused(c.createTag(new dm.CreateTagRequest({ tagName: 'a b' })), 400, 'InvalidTagName')
    const senders = (await c.queryMailAddressByParam(new dm.QueryMailAddressByParamRequest({}))).body.data.mailAddress
    assert.deepEqual(senders.map((one) => one.sendtype), ['trigger', 'batch'])
    await c.deleteTag(new dm.DeleteTagRequest({ tagId: Number(tagId) }))
  },
  async 'an API fault by rule, once'() {
    await faults('api:SingleSendMail:Throttling.User:once')
    await refused(client().singleSendMail(mail()), 400, 'Throttling.User')
    await client().singleSendMail(mail())
    await faults('')
  },
  async 'a connection that ends without a word'() {
    await faults('api:drop-after:once')
    const error = await client().singleSendMail(mail({ subject: 'dropped' })).then(() => assert.fail('it was answered'), (e) => e)
    assert.notEqual(error.code, 'ERR_ASSERTION')
    assert.equal((await arrived({ subject: 'dropped' })).subject, 'dropped')
  },
}

for (const [name, claim] of Object.entries(claims)) {
  const error = await claim().then(() => null, (e) => e)
  if (error) {
    process.exitCode = 1
    console.error(`${name}: ${error.stack ?? error}`)
  }
  console.log(`${error ? 1 : 0} the official SDK: ${name}`)
}
