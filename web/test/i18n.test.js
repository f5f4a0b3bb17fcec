import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import en from '../static/i18n/en.js';
import zh from '../static/i18n/zh.js';
import { fill, pickLanguage } from '../static/ui/i18n.js';

const root = new URL('../static/', import.meta.url);
const files = /** @type {string[]} */ (readdirSync(root, { recursive: true }));
/** @param {string} ending */
const sources = (ending) =>
  files
    .filter((name) => name.endsWith(ending) && !name.startsWith('i18n'))
    .map((name) => ({ name, text: readFileSync(new URL(name, root), 'utf8') }));

/** @param {string} text */
const placeholders = (text) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

test('both languages say everything, with the same placeholders', () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  for (const [key, text] of Object.entries(en)) {
    const other = zh[/** @type {keyof typeof en} */ (key)];
    assert.notEqual(text.trim(), '', key);
    assert.notEqual(other.trim(), '', key);
    assert.deepEqual(placeholders(other), placeholders(text), key);
  }
});

// A key is used where it stands as a whole string, or where a template makes it:
// t(`path.${kind}`) uses every key that fits.
const inHTML = sources('.html').flatMap(({ name, text }) => [...text.matchAll(/data-i18n(?:-[a-z-]+)?="([^"]*)"/g)].map((match) => ({ name, key: match[1] ?? '' })));
const inCode = sources('.js').flatMap(({ name, text }) => [...text.matchAll(/\bt\(\s*'([^']+)'/g)].map((match) => ({ name, key: match[1] ?? '' })));
const code = sources('.js').map(({ text }) => text).join('\n');
const literals = new Set([...code.matchAll(/['"]([a-z][\w.-]*\.[\w.-]+)['"]/gi)].map((match) => match[1] ?? ''));
const templates = [...code.matchAll(/`([a-z][\w.-]*\.(?:[\w.-]|\$\{[^}]*\})*)`/gi)]
  .map((match) => match[1] ?? '')
  .filter((template) => template.includes('${'))
  .map((template) => new RegExp(`^${template.replace(/\./g, '\\.').replace(/\$\{[^}]*\}/g, '[\\w.-]+')}$`));

test('every key that the pages use exists', () => {
  for (const { name, key } of [...inHTML, ...inCode]) assert.ok(key in en, `${name}: ${key}`);
});

test('every key that exists is used', () => {
  const used = new Set([...inHTML.map(({ key }) => key), ...literals]);
  const unused = Object.keys(en).filter((key) => !used.has(key) && !templates.some((template) => template.test(key)));
  assert.deepEqual(unused, []);
});

const choices = /** @type {[string, string[], string | null, string][]} */ ([
  ['the browser speaks Chinese', ['zh-CN', 'en'], null, 'zh'],
  ['Taiwan reads Chinese too', ['zh-Hant-TW'], null, 'zh'],
  ['the first that we have', ['fr-FR', 'de', 'zh', 'en'], null, 'zh'],
  ['none that we have', ['fr-FR'], null, 'en'],
  ['nothing at all', [], null, 'en'],
  ['the choice is remembered', ['zh-CN'], 'en', 'en'],
  ['a choice that we do not have', ['zh-CN'], 'tlh', 'zh'],
]);
for (const [name, preferred, chosen, want] of choices) {
  test(`language: ${name}`, () => assert.equal(pickLanguage(preferred, chosen), want));
}

test('placeholders are filled once, unknown ones stay', () => {
  assert.equal(fill('{name} · {ms} ms · {other}', { name: '{ms}', ms: 3 }), '{ms} · 3 ms · {other}');
});
