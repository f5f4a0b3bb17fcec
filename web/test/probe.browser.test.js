// The connection test in a real Chromium, against the real server with its relay on loopback.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildDuet, freePort, startDuet } from './binary.js';
import { launch, skip } from './browser.js';

/** @typedef {import('puppeteer-core').Page} Page */

/** @type {Awaited<ReturnType<typeof buildDuet>>} */
let binary;
/** @type {Awaited<ReturnType<typeof startDuet>>} */
let server;
/** @type {import('puppeteer-core').Browser} */
let browser;
/** @type {Page} */
let page;
/** @type {string[]} What the page threw or its policy refused. */
const complaints = [];

before(async () => {
  if (skip) return;
  binary = await buildDuet();
  server = await startDuet(binary.path, await freePort(), {
    DUET_TURN_ENABLED: 'true',
    DUET_TURN_LISTENING_IP: '127.0.0.1',
    DUET_TURN_LISTENING_PORT: String(await freePort()),
    DUET_TURN_RELAY_IP: '127.0.0.1',
  });
  browser = await launch();
  page = await browser.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|TrustedHTML/.test(message.text())) complaints.push(message.text());
  });
  await page.evaluateOnNewDocument(() => localStorage.setItem('duet.language', 'en'));
  await page.goto(`${server.url}/trickle`);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await binary?.remove();
  assert.deepEqual(complaints, []);
});

const done = () => page.waitForFunction(() => document.body.dataset.state === 'done', { timeout: 30_000 });
const codes = () =>
  page.$$eval('.verdict', (cards) => cards.map((card) => `${card.getAttribute('data-result')} ${card.getAttribute('data-code')}`));
const headline = () => page.$eval('#verdict-headline', (element) => element.textContent);

/** @param {Record<string, string>} fields  by id */
async function run(fields) {
  await page.evaluate((values) => {
    for (const [id, value] of Object.entries(values)) /** @type {HTMLInputElement} */ (document.getElementById(id)).value = value;
    document.getElementById('run')?.click();
  }, fields);
  await done();
}

test('the test runs by itself, and data passes through the server’s own relay', { skip }, async () => {
  await done();
  assert.equal(await headline(), 'Calls will connect from here.');
  const said = await codes();
  assert.equal(said[0], 'ok signaling.works');
  assert.match(said[1] ?? '', /^ok stun\./);
  assert.ok(said.includes('ok turn.works'));
  assert.equal(said.at(-1), 'ok relay.works');
  assert.ok((await page.$$('#candidates tbody tr[data-type="relay"]')).length > 0);
  assert.ok(Number(await page.$eval('#rtt', (element) => element.getAttribute('data-ms'))) > 0);
});

test('again: fresh credentials, and the relays of the last test are gone', { skip }, async () => {
  const username = () => page.$eval('#ice-username', (field) => /** @type {HTMLInputElement} */ (field).value);
  const earlier = await username();
  await run({});
  assert.notEqual(await username(), earlier);
  assert.equal((await codes()).at(-1), 'ok relay.works');
});

test('a wrong password is called one', { skip }, async () => {
  await run({ 'ice-credential': 'wrong' });
  assert.ok((await codes()).includes('bad turn.unauthorized'));
  assert.equal(await headline(), 'Calls will connect only where a direct path exists.');
  assert.ok(await page.$('#errors li[data-code="401"]'));
  assert.equal(await page.$('#rtt[data-ms]'), null);
});

test('what was put in wrong is said before anything runs', { skip }, async () => {
  await run({ 'ice-urls': 'turn://a.example', 'ice-credential': 'x' });
  assert.match(await page.$eval('#ice-problem', (element) => element.textContent ?? ''), /no slashes/);
  assert.equal(await headline(), 'Calls will connect only where a direct path exists.');
});

test('the report holds no credential, and the way back is one click', { skip }, async () => {
  await page.click('#own');
  await page.waitForFunction(() => document.body.dataset.state === 'running');
  await done();
  assert.equal(await headline(), 'Calls will connect from here.');
  await page.click('#copy');
  await page.waitForFunction(() => document.getElementById('said')?.textContent !== '');
  const [report, credential] = await page.evaluate(() =>
    ['report', 'ice-credential'].map((id) => /** @type {HTMLTextAreaElement} */ (document.getElementById(id)).value),
  );
  assert.equal(JSON.parse(report ?? '').headline.reach, 'all');
  assert.ok(credential && !report?.includes(credential));
});

test('nothing to scroll sideways for at 360 px', { skip }, async () => {
  await page.setViewport({ width: 360, height: 740 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
});
