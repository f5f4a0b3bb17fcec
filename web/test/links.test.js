import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partsOf } from '../static/ui/links.js';

/** @type {Record<string, [text: string, links: string[]]>} */
const texts = {
  'an address alone': ['https://duet.example/#tea', ['https://duet.example/#tea']],
  'in a sentence, without its full stop': ['See https://a.example/b. And http://c.example, too?', ['https://a.example/b', 'http://c.example']],
  'in brackets, without them': ['(https://a.example/b) and [https://c.example]', ['https://a.example/b', 'https://c.example']],
  'brackets of its own': ['https://a.example/Duet_(music).', ['https://a.example/Duet_(music)']],
  'Chinese punctuation': ['请看https://a.example/茶。谢谢', ['https://a.example/茶。谢谢']],
  'Chinese punctuation at its end': ['请看 https://a.example/b。', ['https://a.example/b']],
  'no address': ['javascript:alert(1) data:text/html,x ftp://a.example //a.example a.example', []],
  'a script in disguise': ['https:javascript:alert(1) jhttps://', []],
  'a name before the host': ['https://bank.example@evil.example/', []],
  'markup around it': ['<a href="https://a.example/"onclick=x>', ['https://a.example/']],
  'a mark of direction ends it': ['https://a.example/\u202Egpj.exe', ['https://a.example/']],
  'broken': ['https:// http://% https://[::', []],
};
for (const [name, [text, links]] of Object.entries(texts)) {
  test(`${name}: the links are ${JSON.stringify(links)}, and nothing of the text is lost`, () => {
    const parts = partsOf(text);
    assert.equal(parts.map((part) => part.text).join(''), text);
    assert.deepEqual(parts.filter(({ href }) => href).map((part) => part.text), links);
    for (const { href } of parts) assert.match(href ?? 'https://', /^https?:\/\//);
  });
}

test('a text of 10,000 characters is cut in no time', () => {
  for (const text of ['https://'.repeat(1250), `https://a.example/${'('.repeat(5000)}${')'.repeat(4900)}`, `https://a.example/${').'.repeat(5000)}`]) {
    assert.equal(partsOf(text).map((part) => part.text).join(''), text);
  }
});
