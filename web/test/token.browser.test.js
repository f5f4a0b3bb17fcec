// Links with a token, in a real Chromium, on a real server that lets nobody else in.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { buildDuet, freePort, startDuet } from './binary.js';
import { launch, skip } from './browser.js';

const environment = {
  DUET_SIGNALING_AUTH_REQUIRED: 'true',
  DUET_SIGNALING_AUTH_TOKEN_SECRET: 'north-by-northwest-with-32-bytes',
};

/** @type {Awaited<ReturnType<typeof buildDuet>>} */
let binary;
/** @type {Awaited<ReturnType<typeof startDuet>>} */
let server;
/** @type {import('puppeteer-core').Browser} */
let browser;

before(async () => {
  if (skip) return;
  binary = await buildDuet();
  server = await startDuet(binary.path, await freePort(), environment);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await binary?.remove();
});

/** @param {string[]} args */
async function link(...args) {
  const { stdout } = await promisify(execFile)(binary.path, ['token', '--url', server.url, ...args], { env: environment });
  return stdout.trim();
}

/** @param {string} address */
async function open(address) {
  const page = await (await browser.createBrowserContext()).newPage();
  /** @type {string[]} */
  const seen = [];
  page.on('console', (message) => seen.push(message.text()));
  page.on('request', (request) => seen.push(request.url(), JSON.stringify(request.headers())));
  await page.evaluateOnNewDocument(() => localStorage.setItem('duet.language', 'en'));
  await page.goto(address, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(() => document.getElementById('home-headline')?.textContent !== '');
  return { page, seen };
}

/** @param {import('puppeteer-core').Page} page @param {string} state */
const reaches = (page, state) =>
  page.waitForFunction((wanted) => document.body.dataset.state === wanted, { timeout: 30_000 }, state);

test('a link with a token opens its room, and the token is not in the address bar, the invite link or a request', { skip }, async () => {
  const address = await link('--room', 'tea & cake', '--name', 'Ann');
  const token = address.slice(address.indexOf('token=') + 6);
  const { page, seen } = await open(address);
  assert.equal(page.url(), `${server.url}/#tea%20%26%20cake`);
  await page.reload({ waitUntil: 'domcontentloaded' }); // this tab still has it
  await page.waitForSelector('#invited:not([hidden])');
  await page.click('#join');
  await reaches(page, 'waiting');
  assert.equal(page.url(), `${server.url}/#tea%20%26%20cake`);
  assert.equal(await page.$eval('#invite-link', (field) => /** @type {HTMLInputElement} */ (field).value), page.url());
  const first = seen.indexOf(address); // where the link was opened, which is no request's line
  assert.ok(seen.filter((_, at) => at !== first).every((text) => !text.includes(token)), seen.join('\n'));
});

test('without a token, and with one that is for another room, the page says why', { skip }, async () => {
  const { page } = await open(`${server.url}/#tea`);
  await page.click('#join');
  await reaches(page, 'error');
  assert.equal(await page.$eval('#scene-title', (title) => title.textContent), 'You need an invitation');

  const address = await link('--room', 'coffee');
  const other = await open(address.replace('#coffee', '#tea'));
  await other.page.click('#join');
  await reaches(other.page, 'error');
  assert.equal(await other.page.$eval('#scene-title', (title) => title.textContent), 'You were not let in');
  assert.equal(await other.page.$eval('#scene-text', (text) => text.textContent), 'The server said: The token is for another room.');
});
