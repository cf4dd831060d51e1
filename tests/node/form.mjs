// The contact form of examples/nginx in a real browser, and its mail in the sandbox's page.
// Prints a line for each claim, `0 NAME` or `1 NAME`; what went wrong goes to stderr.
// Environment: FORM, WEB = the URLs of the form and of the sandbox's inbox, CHROMIUM = the browser, SHOTS = a folder for screenshots (may be empty).
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'

const { FORM, WEB, CHROMIUM, SHOTS } = process.env
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--no-first-run', '--no-pings'],
})
const DESKTOP = { viewport: { width: 1200, height: 900 } }
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }

async function claim(name, run) {
  try {
    await run()
    console.log(`0 ${name}`)
  } catch (error) {
    console.error(`${name}: ${error.stack}`)
    console.log(`1 ${name}`)
  }
}

async function fresh(options, run) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(30000)
  try { return await run(await context.newPage()) } finally { await context.close() }
}

const shot = (page, name) => (SHOTS ? page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true }) : undefined)

async function fill(page, message, subject = 'Return') {
  await page.goto(FORM)
  await page.getByLabel('Your name').fill('Änn <b>Müller</b>')
  await page.getByLabel('Your mail address').fill('ann@example.com')
  await page.getByLabel('About').selectOption(subject)
  await page.getByLabel('Your message').fill(message)
}

await claim('a visitor fills the form and is thanked, and finds the mail in the sandbox\'s page', () => fresh(DESKTOP, async (page) => {
  await fill(page, 'Guten Tag,\n\nmy order is too small & blue.')
  await shot(page, 'form-desktop')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.waitForURL(`${FORM}thanks.html`)
  assert.equal(await page.getByRole('heading').textContent(), 'Thank you')
  await shot(page, 'thanks-desktop')
  await page.goto(WEB)
  await page.getByText('Return: Änn <b>Müller</b>').first().click()
  const body = await page.locator('body').innerText()
  assert.match(body, /team@example\.com/)
  assert.match(body, /my order is too small & blue\./)
}))

await claim('the form is whole on a phone: nothing is cut, and the honeypot is not to be seen', () => fresh(PHONE, async (page) => {
  await page.goto(FORM)
  await shot(page, 'form-phone')
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360)
  const box = await page.getByRole('button', { name: 'Send' }).boundingBox()
  assert.ok(box.width >= 250 && box.height >= 40)
  const trap = await page.locator('#website').boundingBox()
  assert.ok(trap.x < 0)
  assert.equal(await page.getByLabel('Leave this empty').getAttribute('tabindex'), '-1')
}))

await claim('every field has its label, and the keyboard reaches all but the honeypot', () => fresh(DESKTOP, async (page) => {
  await page.goto(FORM)
  const reached = []
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab')
    reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName))
  }
  assert.deepEqual(reached, ['name', 'email', 'topic', 'message', 'BUTTON'])
}))

await claim('wrong values are told on a page of the server, when the browser lets them through', () => fresh(PHONE, async (page) => {
  await fill(page, 'x')
  await page.evaluate(() => {
    document.querySelector('form').noValidate = true
    document.getElementById('email').type = 'text'
    document.getElementById('email').value = '"><script>document.title="RAN"</script>'
    document.getElementById('name').value = ''
  })
  const answered = page.waitForResponse((response) => response.url().endsWith('/contact'))
  await page.getByRole('button', { name: 'Send' }).click()
  assert.equal((await answered).status(), 422)
  await page.waitForLoadState()
  await shot(page, 'invalid-phone')
  assert.equal(await page.title(), 'Please check what you wrote')
  assert.deepEqual((await page.locator('li').allTextContents()).sort(), ['Your mail address: is no mail address', 'Your name: is missing'])
}))

await claim('a program that fills the honeypot is thanked, and no mail comes', () => fresh(DESKTOP, async (page) => {
  const before = (await (await fetch(`${WEB}mails`)).json()).length
  await fill(page, 'buy')
  await page.evaluate(() => { document.getElementById('website').value = 'http://spam.example' })
  await page.getByRole('button', { name: 'Send' }).click()
  await page.waitForURL(`${FORM}thanks.html`)
  assert.equal((await (await fetch(`${WEB}mails`)).json()).length, before)
}))

await claim('a page of another site cannot send the form', async () => {
  const page = `<form method="post" action="${FORM}contact"><input name="name" value="Eve"><input name="email" value="eve@example.com">
    <input name="topic" value="Order"><input name="message" value="spam"><button>win</button></form>`
  const other = createServer((request, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(page)
  })
  await new Promise((done) => other.listen(0, '127.0.0.1', done))
  const before = (await (await fetch(`${WEB}mails`)).json()).length
  try {
    await fresh(DESKTOP, async (tab) => {
      await tab.goto(`http://127.0.0.1:${other.address().port}/`)
      const answered = tab.waitForResponse((response) => response.url().endsWith('/contact'))
      await tab.getByRole('button').click()
      assert.equal((await answered).status(), 403)
    })
  } finally { other.close() }
  assert.equal((await (await fetch(`${WEB}mails`)).json()).length, before)
})

await browser.close()
