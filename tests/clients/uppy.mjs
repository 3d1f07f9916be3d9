// Uppy's Dashboard in headless Chromium, on a page of another origin than the server's. Arguments, as JSON:
//   chromium, endpoint, token, file
//   reloadAt                     bytes after which the page is reloaded; the file is then chosen again
//   shots                        a folder for screenshots
// Prints one line of JSON: how Uppy says it ended, and the requests that the server saw.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const FILES = {
  '/': ['page.html', 'text/html'],
  '/uppy.min.js': ['node_modules/uppy/dist/uppy.min.js', 'text/javascript'],
  '/uppy.min.css': ['node_modules/uppy/dist/uppy.min.css', 'text/css'],
}
const asked = JSON.parse(process.argv[2])
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

const site = createServer((request, response) => {
  const [path, type] = FILES[request.url.split('?')[0]] ?? []
  response.writeHead(path ? 200 : 404, { 'Content-Type': type ?? 'text/plain' })
  response.end(path ? readFileSync(here(path)) : '')
})
await new Promise((ready) => site.listen(0, 'localhost', ready))

const browser = await chromium.launch({ executablePath: asked.chromium, headless: true, args: FLAGS })
const page = await browser.newPage({ viewport: { width: 900, height: 700 } })
const requests = []
const complaints = []
page.on('response', (response) => {
  const request = response.request()
  if (request.url().startsWith('http://127.0.0.1')) {
    const offset = request.headers()['upload-offset']
    requests.push([request.method(), response.status(), offset === undefined ? null : Number(offset)])
  }
})
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
page.on('pageerror', (error) => complaints.push(String(error)))

async function choose() {
  await page.setInputFiles('input.uppy-Dashboard-input', asked.file)
  await page.click('button.uppy-StatusBar-actionBtn--upload')
}

const fragment = new URLSearchParams({ endpoint: asked.endpoint, token: asked.token })
await page.goto(`http://localhost:${site.address().port}/#${fragment}`)
await choose()
if (asked.reloadAt) {
  await page.waitForFunction((bytes) => window.sent >= bytes, asked.reloadAt)
  await page.screenshot({ path: `${asked.shots}/uploading.png` })
  await page.reload()
  requests.push(['reload', 0, null])
  await choose()
}
await page.waitForFunction(() => window.result, null, { timeout: 60_000 })
await page.screenshot({ path: `${asked.shots}/done.png` })
console.log(JSON.stringify({ ...(await page.evaluate(() => window.result)), requests, complaints }))
await browser.close()
process.exit(0)
