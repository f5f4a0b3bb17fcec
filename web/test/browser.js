// A Chromium with a page on a server of this test's own, for what only a browser does.

import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import puppeteer from 'puppeteer-core';

const root = new URL('../static/', import.meta.url);
const types = { '.js': 'text/javascript', '.html': 'text/html', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** Where distributions put it; CHROMIUM names another. */
const chromium = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== '' && existsSync(path),
);

/** Why browser tests are skipped here; false where they run. */
export const skip = chromium ? false : 'no Chromium on this machine: install it, or set CHROMIUM';

/**
 * openPage starts Chromium with a blank page that may import /sdk/*.js.
 *
 * @returns {Promise<{page: import('puppeteer-core').Page, close: () => Promise<void>}>}
 */
export async function openPage() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const file = new URL(`.${pathname}`, root);
    if (pathname === '/' || !existsSync(file)) return response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>test</title>');
    response.setHeader('Content-Type', types[/** @type {keyof typeof types} */ (extname(pathname))] ?? 'text/plain');
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
  return {
    page,
    async close() {
      await browser.close();
      server.close();
    },
  };
}

/**
 * launch starts Chromium with a fake camera and microphone, which it gives to any
 * page without asking; allow false leaves that to the page's permissions.
 */
export function launch({ allow = true } = {}) {
  return puppeteer.launch({
    executablePath: chromium,
    protocolTimeout: 120_000,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream',
      '--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
      ...(allow ? ['--use-fake-ui-for-media-stream'] : []),
    ],
  });
}
