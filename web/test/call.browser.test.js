// The pages in a real Chromium, served by the real server.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { buildDuet, freePort, startDuet } from './binary.js';
import { launch, skip } from './browser.js';

/** @typedef {import('puppeteer-core').Page} Page */

/** @type {Awaited<ReturnType<typeof buildDuet>>} */
let binary;
/** @type {Awaited<ReturnType<typeof startDuet>>} */
let server;
/** @type {import('puppeteer-core').Browser} */
let browser;
let port = 0;
/** @type {string[]} What a page threw or its policy refused. */
const complaints = [];

before(async () => {
  if (skip) return;
  binary = await buildDuet();
  port = await freePort();
  server = await startDuet(binary.path, port);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await binary?.remove();
});
afterEach(async () => {
  if (skip) return;
  await Promise.all(browser.browserContexts().slice(1).map((context) => context.close()));
  assert.deepEqual(complaints.splice(0), []);
});

/**
 * @param {string} [path]
 * @param {{language?: string, from?: import('puppeteer-core').Browser}} [options]
 */
async function open(path = '/', { language = 'en', from = browser } = {}) {
  const context = await from.createBrowserContext();
  if (from !== browser) await context.overridePermissions(server.url, []); // none
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|TrustedHTML/.test(message.text())) complaints.push(message.text());
  });
  await page.evaluateOnNewDocument((chosen) => localStorage.setItem('duet.language', chosen), language);
  await page.goto(server.url + path, { waitUntil: 'domcontentloaded' });
  await page.waitForFunction(() => document.getElementById('home-headline')?.textContent !== '');
  return page;
}

/**
 * @param {Page} page
 * @param {string} state
 */
const reaches = (page, state) =>
  page.waitForFunction((wanted) => document.body.dataset.state === wanted, { timeout: 30_000 }, state);
/**
 * @param {Page} page
 * @param {string} selector
 */
const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent ?? '');

/**
 * @param {string} room
 * @param {string} name
 */
async function join(room, name) {
  const page = await open(`/#${room}`);
  await page.type('#name', name);
  await page.click('#join');
  return page;
}

test('nobody can press Join or Start before the page listens', { skip }, async () => {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  const pressable = () => page.$$eval('#join, #start', (buttons) => buttons.filter((button) => button.matches(':enabled')).length);
  await page.setJavaScriptEnabled(false); // as long as the modules are on their way
  await page.goto(server.url);
  assert.equal(await pressable(), 0);
  await page.setJavaScriptEnabled(true);
  await page.reload();
  await page.waitForSelector('#join:enabled');
  assert.equal(await pressable(), 2);
});

test('an invite link brings two people into a call', { skip }, async () => {
  const ann = await open();
  await ann.type('#name', 'Ann');
  await ann.click('#start');
  await reaches(ann, 'waiting');
  const link = await ann.$eval('#invite-link', (field) => /** @type {HTMLInputElement} */ (field).value);
  assert.match(link, /\/#[a-z0-9-]{23}$/);
  const bo = await open(link.slice(link.indexOf('/#')));
  await bo.type('#name', 'Bo');
  await bo.click('#join');
  await Promise.all([reaches(ann, 'connected'), reaches(bo, 'connected')]);
  assert.equal(await textOf(ann, '#status'), 'Bo');
  await ann.waitForSelector('#path[data-path="direct"][data-protocol="udp"]:not([hidden])');
  await ann.waitForFunction(() => /** @type {HTMLVideoElement} */ (document.getElementById('remote-video')).currentTime > 0.5);

  await bo.click('#chat-toggle');
  await bo.type('#chat-input', 'hello');
  await bo.click('#chat-send');
  await ann.waitForSelector('#unread:not([hidden])');
  await ann.click('#chat-toggle');
  assert.equal(await textOf(ann, '#chat-log .msg .text'), 'hello');
  assert.equal(await textOf(bo, '#chat-log .msg.you .text'), 'hello');

  await bo.click('#leave');
  await reaches(bo, 'home');
  await reaches(ann, 'left');
  assert.equal(new URL(bo.url()).hash, '');
});

test('switching camera and microphone neither negotiates nor asks again; leaving stops them', { skip }, async () => {
  const ann = await open('/#mute');
  await ann.evaluate(() => {
    const counts = { negotiations: 0, asked: 0, tracks: /** @type {MediaStreamTrack[]} */ ([]) };
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      counts.asked++;
      const stream = await ask(wanted);
      counts.tracks.push(...stream.getTracks());
      return stream;
    };
    const describe = RTCPeerConnection.prototype.setLocalDescription;
    Object.assign(RTCPeerConnection.prototype, {
      /** @this {RTCPeerConnection} */
      setLocalDescription() {
        counts.negotiations++;
        return Reflect.apply(describe, this, []);
      },
    });
    Object.assign(globalThis, { counts });
  });
  const counted = () =>
    ann.evaluate(() => {
      const { counts } = /** @type {{counts: {negotiations: number, asked: number, tracks: MediaStreamTrack[]}}} */ (/** @type {unknown} */ (globalThis));
      return { negotiations: counts.negotiations, asked: counts.asked, live: counts.tracks.filter((track) => track.readyState === 'live').length };
    });
  await ann.click('#join');
  await reaches(ann, 'waiting');
  const bo = await join('mute', 'Bo');
  await Promise.all([reaches(ann, 'connected'), reaches(bo, 'connected')]);
  const first = await counted();
  for (const key of ['m', 'v', 'm', 'v', 'm']) await ann.keyboard.press(/** @type {import('puppeteer-core').KeyInput} */ (key));
  await bo.waitForFunction(() => document.getElementById('tiles')?.textContent?.includes('muted'));
  assert.equal(await ann.$eval('#mic', (button) => button.getAttribute('aria-pressed')), 'true');
  assert.deepEqual(await counted(), first);
  await ann.keyboard.press('l');
  await reaches(ann, 'home');
  assert.equal((await counted()).live, 0);
});

test('a full room says so, and lets people in when there is a seat', { skip }, async () => {
  const ann = await join('seats', 'Ann');
  const bo = await join('seats', 'Bo');
  await Promise.all([reaches(ann, 'connected'), reaches(bo, 'connected')]);
  const cy = await join('seats', 'Cy');
  await reaches(cy, 'full');
  assert.equal(await textOf(cy, '#scene-title'), 'This call is full');
  await bo.click('#leave');
  await reaches(ann, 'left');
  await cy.click('#retry');
  await Promise.all([reaches(ann, 'connected'), reaches(cy, 'connected')]);
});

test('the call goes on while the server is away, and is the same when it is back', { skip }, async () => {
  const ann = await join('restart', 'Ann');
  const bo = await join('restart', 'Bo');
  await Promise.all([reaches(ann, 'connected'), reaches(bo, 'connected')]);
  await ann.evaluate(() => {
    const states = /** @type {string[]} */ ([]);
    new MutationObserver(() => states.push(document.body.dataset.state ?? '')).observe(document.body, { attributes: true });
    Object.assign(globalThis, { states, firstStream: /** @type {HTMLVideoElement} */ (document.getElementById('remote-video')).srcObject });
  });
  await server.stop('SIGKILL');
  server = await startDuet(binary.path, port);
  // Both are back in the same call, and the picture was never away.
  const end = Date.now() + 30_000;
  while (server.said('member resumed') < 2) {
    assert.ok(Date.now() < end, 'they have not resumed');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const time = () => ann.$eval('#remote-video', (video) => /** @type {HTMLVideoElement} */ (video).currentTime);
  const first = await time();
  await ann.waitForFunction((then) => /** @type {HTMLVideoElement} */ (document.getElementById('remote-video')).currentTime > then, {}, first);
  assert.ok(
    await ann.evaluate(() => {
      const { firstStream } = /** @type {{firstStream: MediaStream}} */ (/** @type {unknown} */ (globalThis));
      return /** @type {HTMLVideoElement} */ (document.getElementById('remote-video')).srcObject === firstStream && document.querySelectorAll('#tiles video').length === 1;
    }),
    'it is another call',
  );
  assert.deepEqual(await ann.evaluate(() => /** @type {{states: string[]}} */ (/** @type {unknown} */ (globalThis)).states), []);
  await ann.keyboard.press('c');
  await ann.type('#chat-input', 'still here');
  await ann.click('#chat-send');
  await bo.waitForFunction(() => document.querySelector('#chat-log .msg .text')?.textContent === 'still here');
});

test('refused devices are explained, and one can join without them', { skip }, async (t) => {
  const strict = await launch({ allow: false });
  t.after(() => strict.close());
  const ann = await open('/#refused', { from: strict, language: 'zh' });
  await ann.click('#join');
  await ann.waitForSelector('#media-notice[data-problem="refused"]:not([hidden])');
  assert.equal(await textOf(ann, '#media-title'), '摄像头和麦克风被阻止。');
  await ann.click('#media-skip');
  await reaches(ann, 'waiting');
  const bo = await join('refused', 'Bo');
  await Promise.all([reaches(ann, 'connected'), reaches(bo, 'connected')]);
});

test('the language switch turns the page at once and is remembered', { skip }, async () => {
  const page = await open();
  await page.evaluate(() => localStorage.removeItem('duet.language'));
  await page.click('button[data-language]');
  assert.equal(await page.$eval('html', (html) => html.lang), 'zh-CN');
  assert.equal(await textOf(page, '#start'), '发起新通话');
  assert.equal(await page.evaluate(() => localStorage.getItem('duet.language')), 'zh');
});

test('going back leaves the call', { skip }, async () => {
  const ann = await open();
  await ann.click('#start');
  await reaches(ann, 'waiting');
  await ann.goBack({ waitUntil: 'domcontentloaded' });
  await reaches(ann, 'home');
});

test('every control has a name and is at least 44 pixels large', { skip }, async () => {
  for (const state of ['home', 'waiting']) {
    const page = await open();
    await page.setViewport({ width: 360, height: 740 });
    if (state === 'waiting') {
      await page.click('#start');
      await reaches(page, 'waiting');
      await page.click('#chat-toggle');
    }
    const wrong = await page.evaluate(() =>
      [...document.querySelectorAll('button, a, input, select, textarea')]
        .filter((element) => element.checkVisibility() && !element.classList.contains('skip'))
        .map((element) => {
          const { width, height } = element.getBoundingClientRect();
          const labels = element instanceof HTMLInputElement || element instanceof HTMLSelectElement ? [...(element.labels ?? [])] : [];
          const name = element.getAttribute('aria-label') || labels.map((label) => label.textContent).join('') || element.textContent?.trim();
          return { id: element.id || element.className, size: Math.min(width, height), name };
        })
        .filter(({ size, name }) => size < 44 || !name),
    );
    assert.deepEqual(wrong, [], state);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360), `${state} fits 360 pixels`);
  }
});
