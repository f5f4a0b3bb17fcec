import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chat, decodeChat, maxTextCharacters } from '../static/sdk/chat.js';

// A data channel without a connection: what is sent is kept.
class Channel extends EventTarget {
  /** @type {RTCDataChannelState} */
  readyState = 'connecting';
  /** @type {string[]} */
  sent = [];
  /** @param {string} data */
  send(data) {
    if (this.readyState !== 'open') throw new Error('not open');
    this.sent.push(data);
  }
  open() {
    this.readyState = 'open';
    this.dispatchEvent(new Event('open'));
    return this;
  }
  end() {
    this.readyState = 'closed';
    this.dispatchEvent(new Event('close'));
  }
  /** @param {unknown} value */
  receive(value) {
    this.dispatchEvent(Object.assign(new Event('message'), { data: typeof value === 'string' ? value : JSON.stringify(value) }));
  }
  get texts() {
    return this.sent.map((data) => JSON.parse(data).text);
  }
}

/**
 * @param {Chat} chat
 * @param {Channel} channel
 * @param {string} [from]
 */
function attach(chat, channel, from = 'bo') {
  chat.attach(from, /** @type {RTCDataChannel} */ (/** @type {unknown} */ (channel)));
  return channel;
}

test('a text goes at once where the channel is open', () => {
  const chat = new Chat();
  const channel = attach(chat, new Channel()).open();
  assert.equal(chat.send('  hello ')?.sent, true);
  assert.deepEqual(channel.texts, ['hello']);
});

test('what is written early waits, keeps its order, and leaves once', () => {
  const chat = new Chat();
  /** @type {string[]} */
  const sent = [];
  chat.addEventListener('sent', ({ detail }) => sent.push(detail.id));
  const first = chat.send('one');
  const channel = attach(chat, new Channel());
  const second = chat.send('two');
  assert.deepEqual([first?.sent, second?.sent], [false, false]);
  channel.open();
  assert.deepEqual(channel.texts, ['one', 'two']);
  assert.deepEqual(sent, [first?.id, second?.id]);
  const later = attach(chat, new Channel()).open();
  assert.deepEqual(later.texts, []);
});

test('everyone who is there gets it', () => {
  const chat = new Chat();
  const [a, b] = [attach(chat, new Channel(), 'a').open(), attach(chat, new Channel(), 'b').open()];
  chat.send('hello');
  assert.deepEqual([a.texts, b.texts], [['hello'], ['hello']]);
});

test('a closed channel is out; the text waits for the next', () => {
  const chat = new Chat();
  const first = attach(chat, new Channel()).open();
  first.end();
  assert.equal(chat.send('still there?')?.sent, false);
  assert.deepEqual(attach(chat, new Channel()).open().texts, ['still there?']);
});

test('a message that arrives twice is shown once', () => {
  const chat = new Chat();
  /** @type {string[]} */
  const shown = [];
  chat.addEventListener('message', ({ detail }) => shown.push(`${detail.from}: ${detail.text}`));
  const message = { id: 'x', text: 'hello', at: 1 };
  attach(chat, new Channel()).open().receive(message);
  attach(chat, new Channel()).open().receive(message);
  assert.deepEqual(shown, ['bo: hello']);
});

test('texts are bounded, and so is what waits', () => {
  const chat = new Chat();
  assert.equal(chat.send(' \n'), null);
  assert.equal(chat.send('x'.repeat(maxTextCharacters + 1))?.text.length, maxTextCharacters);
  for (let i = 1; i < 100; i++) assert.ok(chat.send(`${i}`));
  assert.equal(chat.send('one more'), null);
  assert.equal(attach(chat, new Channel()).open().sent.length, 100);
});

test('close ends listening and forgets what waited', () => {
  const chat = new Chat();
  let heard = 0;
  chat.addEventListener('message', () => heard++);
  const channel = attach(chat, new Channel());
  chat.send('one');
  chat.close();
  channel.open().receive({ id: 'x', text: 'hello', at: 1 });
  assert.deepEqual([channel.sent.length, heard], [0, 0]);
});

test('devices are told now and to who comes later', () => {
  const chat = new Chat();
  chat.setDevices({ mic: true, camera: false });
  const channel = attach(chat, new Channel()).open();
  chat.setDevices({ mic: false, camera: false, screen: true });
  assert.deepEqual(channel.sent, ['{"mic":true,"camera":false,"screen":false}', '{"mic":false,"camera":false,"screen":true}']);
});

const strange = {
  'not text': new ArrayBuffer(8),
  'not JSON': '{',
  null: 'null',
  'a number': '7',
  'no text': '{"id":"x","at":1}',
  'an empty text': '{"id":"x","text":" ","at":1}',
  'no id': '{"text":"t","at":1}',
  'a long id': JSON.stringify({ id: 'x'.repeat(65), text: 't', at: 1 }),
  'a long text': JSON.stringify({ id: 'x', text: 't'.repeat(maxTextCharacters + 1), at: 1 }),
  'a long frame': JSON.stringify({ id: 'x', text: 't', at: 1, pad: 'p'.repeat(40_000) }),
  'no time': '{"id":"x","text":"t"}',
  'half of the devices': '{"mic":true}',
};
for (const [name, data] of Object.entries(strange)) {
  test(`a peer's ${name} is passed over`, () => assert.equal(decodeChat(data), null));
}

test('unknown fields are left behind', () => {
  assert.deepEqual(decodeChat('{"id":"x","text":"t","at":1,"html":"<b>"}'), { id: 'x', text: 't', at: 1 });
});
