// The real server, built from this repository.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/**
 * buildDuet compiles cmd/duet into a folder of its own.
 *
 * @returns {Promise<{path: string, remove: () => Promise<void>}>}
 */
export async function buildDuet() {
  const folder = await mkdtemp(join(tmpdir(), 'duet-web-'));
  const path = join(folder, 'duet');
  await promisify(execFile)('go', ['build', '-o', path, './cmd/duet'], { cwd: repository });
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** A TCP port that is free at this moment. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
  probe.close();
  return port;
}

/**
 * startDuet runs the server without its relay, on loopback, until stop.
 *
 * @param {string} path
 * @param {number} port
 * @param {Record<string, string>} [environment]
 * @returns {Promise<{url: string, said: (text: string) => number, stop: (signal?: NodeJS.Signals) => Promise<void>}>}
 *   said: how often its log says so
 */
export async function startDuet(path, port, environment = {}) {
  const child = spawn(path, {
    cwd: tmpdir(),
    env: { DUET_HTTP_LISTEN: `127.0.0.1:${port}`, DUET_TURN_ENABLED: 'false', DUET_METRICS_LISTEN: '127.0.0.1:0', STATE_DIRECTORY: dirname(path), ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data) => (said += data));
  const ended = once(child, 'exit');
  const url = `http://localhost:${port}`;
  const end = Date.now() + 15_000;
  for (;;) {
    if (child.exitCode !== null || Date.now() > end) throw new Error(`duet did not start: ${said}`);
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    if (answer?.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    said: (text) => said.split(text).length - 1,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}
