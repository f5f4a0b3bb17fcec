// The npm package of the SDK, as somebody elsewhere uses it: packed, installed without a network, imported, type-checked.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as sdk from '../static/sdk/duet.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'duet-package-'));
const installed = join(folder, 'node_modules/@duetcall/sdk');

before(async () => {
  await run(join(root, 'web/sdk/pack'), [folder]);
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}');
  const packed = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  assert.deepEqual(packed, [`duetcall-sdk-${sdk.version}.tgz`]);
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${packed[0]}`], { cwd: folder });
});
after(() => rmSync(folder, { recursive: true, force: true }));

/**
 * Type-checks a program in the folder.
 *
 * @param {string} program
 * @returns {Promise<string>} what tsc says
 */
async function check(program) {
  writeFileSync(join(folder, 'program.ts'), program);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { strict: true, noEmit: true, module: 'nodenext', target: 'es2022', lib: ['es2023', 'dom'], types: [] },
      files: ['program.ts'],
    }),
  );
  try {
    return (await run(join(root, 'node_modules/.bin/tsc'), ['--project', folder], { cwd: folder })).stdout;
  } catch (error) {
    return /** @type {{stdout: string}} */ (error).stdout;
  }
}

test('an import in Node has what the server serves, and needs nothing else', async () => {
  const { stdout } = await run('node', ['--input-type=module', '--eval', 'import * as sdk from "@duetcall/sdk"; console.log(JSON.stringify([Object.keys(sdk), sdk.version]))'], { cwd: folder });
  assert.deepEqual(JSON.parse(stdout), [Object.keys(sdk), sdk.version]);
  for (const file of /** @type {string[]} */ (readdirSync(installed, { recursive: true })).filter((name) => name.endsWith('.js'))) {
    assert.equal(readFileSync(join(installed, file), 'utf8'), read(`web/static/${file}`), file);
  }
  assert.deepEqual(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')), ['@duetcall']);
});

test('every module has its declarations, and every import in the package leads somewhere', () => {
  const files = /** @type {string[]} */ (readdirSync(installed, { recursive: true }));
  for (const file of files.filter((name) => name.endsWith('.js'))) {
    assert.ok(files.includes(file.replace(/js$/, 'd.ts')), file);
    for (const [, to] of readFileSync(join(installed, file), 'utf8').matchAll(/^(?:import|export)[^;]*from '([^']+)'/gm)) {
      assert.ok(files.includes(join(file, '..', to ?? '')), `${file} imports ${to}`);
    }
  }
  for (const file of ['sdk/duet.d.ts', 'embed/duet-call.js', 'README.md', 'LICENSE']) assert.ok(files.includes(file), file);
  assert.deepEqual(files.filter((name) => /probe|\.test\./.test(name)), []);
});

test('the TypeScript of docs/sdk.md type-checks', async () => {
  const program = /```ts\n([^]*?)```/.exec(read('docs/sdk.md'))?.[1] ?? '';
  assert.match(program, /@duetcall\/sdk/);
  assert.equal(await check(program), '');
});

test('the declarations say what each event brings, and of the element what it does', async () => {
  const right = `
    import { Call, SignalingError, type CallOptions } from '@duetcall/sdk';
    import { DuetCallElement } from '@duetcall/sdk/element';
    const options: CallOptions = { room: 'tea', name: 'Ann', policy: 'relay' };
    new Call(options).addEventListener('ended', ({ detail: { error } }) => { const e: SignalingError | null = error; });
    new Call(options).addEventListener('track', ({ detail: { stream } }) => { const s: MediaStream = stream; });
    const call: Call | null = new DuetCallElement().call;
    const joined: Promise<void> = new DuetCallElement().join();`;
  assert.equal(await check(right), '');
  for (const [wrong, says] of /** @type {[string, RegExp][]} */ ([
    ["new Call({ room: 7, name: 'Ann' });", /'number' is not assignable to type 'string'/],
    ["new Call(options).addEventListener('no-such-event', () => {});", /"no-such-event"/],
    ["new Call(options).addEventListener('sent', ({ detail }) => detail.text);", /'text' does not exist/],
  ])) {
    assert.match(await check(`${right}\n${wrong}`), says, wrong);
  }
});

test('the SDK, its package and CHANGELOG.md agree on the version', () => {
  assert.equal(JSON.parse(read('web/sdk/package.json')).version, sdk.version);
  const newest = /^## (\S+)/m.exec(read('CHANGELOG.md'))?.[1] ?? '';
  if (newest === 'Unreleased') assert.match(sdk.version, /^\d+\.\d+\.\d+-dev$/);
  else assert.equal(sdk.version, newest);
});
