// The sandbox's pages in a real browser.
// Prints a line for each claim, `0 NAME` or `1 NAME`; what went wrong goes to stderr.
// Environment: WEB = the URL of the inbox, MAIL = the id of the mail that tests/shell/page_test.sh sent, FILES = the folder with what it
// attached, TRAP = the port that the mail's HTML tries to reach, CHROMIUM = the browser.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const { WEB, MAIL, FILES, TRAP, CHROMIUM } = process.env
const port = new URL(WEB).port
const elsewhere = `http://127.0.0.1:${TRAP}`

// A neighbour on this machine: what the mail loads would come here, and it has pages of its own.
const visits = []
const pages = {
  '/post': `<form method="post" action="${WEB}mails"><button name="do" value="clear">win a prize</button></form>`,
  '/frame': `<iframe src="${WEB}"></iframe><iframe src="${WEB}mails/${MAIL}/html"></iframe>`,
}
const trap = createServer((request, response) => {
  visits.push(request.url)
  response.setHeader('content-type', 'text/html')
  response.end(pages[request.url] ?? 'caught')
})
await new Promise((done) => trap.listen(TRAP, '127.0.0.1', done))

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--no-first-run', '--no-pings', '--host-resolver-rules=MAP evil.example 127.0.0.1'],
})

async function fresh(options, run) {
  const context = await browser.newContext({ baseURL: WEB, ...options })
  context.setDefaultTimeout(30000)
  try { return await run(await context.newPage()) } finally { await context.close() }
}

const open = (page) => page.goto(`/mails/${MAIL}`, { waitUntil: 'networkidle' })
const count = async () => (await (await fetch(`${WEB}mails`)).json()).length

const claims = {
  'the inbox says what it is, and lists the mail': () => fresh({ javaScriptEnabled: false }, async (page) => {
    await page.goto('/')
    await page.getByText('nothing leaves it').waitFor()
    const row = page.getByRole('link', { name: 'Invoice' })
    assert.match(await row.innerText(), /Invoice <b>not bold<\/b> – 您的发票/)
    assert.match(await row.innerText(), /noreply@mail\.example\.com → ann@example\.com/)
  }),
  'the keyboard alone opens a mail, without a script of ours': () => fresh({ javaScriptEnabled: false }, async (page) => {
    await page.goto('/')
    const row = page.getByRole('link', { name: 'Invoice' })
    for (let i = 0; i < 20 && !await row.evaluate((e) => e === e.ownerDocument.activeElement); i++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.waitForURL(`/mails/${MAIL}`)
    await page.getByRole('heading', { name: 'Invoice <b>not bold</b> – 您的发票' }).waitFor()
    await page.getByText('Guten Tag & 您好 <script>').waitFor()
  }),
  'the body is shown, with its inline image, in its own frame': () => fresh({}, async (page) => {
    await open(page)
    const frame = page.frameLocator('iframe')
    await frame.getByText('发票 below').waitFor()
    assert.equal(await frame.locator('#logo').evaluate((image) => image.naturalWidth), 64)
  }),
  'no script of a mail runs': () => fresh({}, async (page) => {
    for (const url of [`/mails/${MAIL}`, `/mails/${MAIL}/html`]) {
      await page.goto(url, { waitUntil: 'networkidle' })
      const frame = page.frame({ url: /\/html$/ })
      assert.match(await frame.locator('body').innerText(), /below/)
      assert.doesNotMatch(await frame.locator('body').innerText(), /SCRIPT RAN/)
      assert.doesNotMatch(await page.title(), /SCRIPT RAN/)
    }
  }),
  'a mail loads nothing, submits nothing and leads nowhere by itself': () => fresh({}, async (page) => {
    visits.length = 0
    await open(page)
    await page.frameLocator('iframe').locator('#send').click()
    await page.frameLocator('iframe').locator('#away').click()
    await page.waitForLoadState('networkidle')
    assert.equal(page.url(), `${WEB}mails/${MAIL}`)
    assert.deepEqual(visits, [])
  }),
  'attachments are downloads, byte for byte, under their names': () => fresh({}, async (page) => {
    await open(page)
    for (const name of ['报告.csv', 'page.html']) {
      const waiting = page.waitForEvent('download')
      await page.getByRole('link', { name }).click()
      const download = await waiting
      assert.equal(download.suggestedFilename(), name)
      assert.deepEqual(await readFile(await download.path()), await readFile(`${FILES}/${name}`))
    }
    assert.equal(page.url(), `${WEB}mails/${MAIL}`)
  }),
  'the message as it is can be read': () => fresh({}, async (page) => {
    await open(page)
    await page.getByRole('link', { name: 'The message as it is' }).click()
    await page.waitForURL(`/mails/${MAIL}/raw`)
    assert.match(await page.locator('body').innerText(), /^Content-Type: multipart\//m)
  }),
  'a phone shows the pages without scrolling sideways, in light and dark': async () => {
    for (const colorScheme of ['light', 'dark']) {
      await fresh({ viewport: { width: 360, height: 740 }, colorScheme }, async (page) => {
        for (const url of ['/', `/mails/${MAIL}`]) {
          await page.goto(url)
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 360, url)
        }
        const ground = await page.locator('body').evaluate((e) => getComputedStyle(e).backgroundColor)
        assert.equal(ground, colorScheme === 'light' ? 'rgb(246, 247, 249)' : 'rgb(20, 24, 29)')
      })
    }
  },
  'a name that was made to point here sees nothing (DNS rebinding)': () => fresh({}, async (page) => {
    const answer = await page.goto(`http://evil.example:${port}/`)
    assert.equal(answer.status(), 421)
    assert.doesNotMatch(await answer.text(), /Invoice/)
  }),
  'a form of another page changes nothing': () => fresh({}, async (page) => {
    const before = await count()
    await page.goto(`${elsewhere}/post`)
    const [answer] = await Promise.all([page.waitForResponse(`${WEB}mails`), page.getByRole('button').click()])
    assert.equal(answer.status(), 403)
    assert.equal(await count(), before)
  }),
  'another page cannot frame the inbox or a mail': () => fresh({}, async (page) => {
    await page.goto(`${elsewhere}/frame`, { waitUntil: 'networkidle' })
    for (const frame of page.frames().slice(1)) assert.doesNotMatch(await frame.content(), /Direct Mail sandbox|below/)
  }),
  'its buttons send a test mail and delete all': () => fresh({ javaScriptEnabled: false }, async (page) => {
    await page.goto('/')
    await page.getByRole('button', { name: 'Send a test mail' }).click()
    await page.getByRole('link', { name: 'It works – 收到了' }).click()
    await page.frameLocator('iframe').getByText('Nobody received it.').waitFor()
    await page.goto('/')
    await page.getByRole('button', { name: 'Delete all' }).click()
    await page.getByRole('heading', { name: 'No mail yet' }).waitFor()
    assert.equal(await count(), 0)
  }),
}

for (const [name, claim] of Object.entries(claims)) {
  const error = await claim().then(() => null, (e) => e)
  if (error) {
    process.exitCode = 1
    console.error(`${name}: ${error.stack ?? error}`)
  }
  console.log(`${error ? 1 : 0} the page: ${name}`)
}
await browser.close()
trap.close()
