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
    return this.sent.map((data) => JSON.parse(data).text).filter((text) => text !== undefined);
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

/** @param {Chat} chat */
function sentOf(chat) {
  /** @type {string[]} */
  const sent = [];
  chat.addEventListener('sent', ({ detail }) => sent.push(detail.id));
  return sent;
}

test('a text goes at once where the channel is open, and is sent when it was heard', () => {
  const chat = new Chat();
  const sent = sentOf(chat);
  const channel = attach(chat, new Channel()).open();
  const message = chat.send('  hello ');
  assert.deepEqual(channel.texts, ['hello']);
  assert.deepEqual(sent, []);
  channel.receive({ heard: message?.id });
  channel.receive({ heard: message?.id });
  assert.deepEqual(sent, [message?.id]);
});

test('what is written early waits for the first one who comes, in order', () => {
  const chat = new Chat();
  const first = chat.send('one');
  const channel = attach(chat, new Channel());
  const second = chat.send('two');
  channel.open();
  assert.deepEqual(channel.texts, ['one', 'two']);
  for (const message of [first, second]) channel.receive({ heard: message?.id });
  assert.deepEqual(attach(chat, new Channel(), 'cy').open().texts, []);
});

test('everyone who is there gets it, and who comes later does not', () => {
  const chat = new Chat();
  const [a, b] = [attach(chat, new Channel(), 'a').open(), attach(chat, new Channel(), 'b').open()];
  chat.send('hello');
  assert.deepEqual([a.texts, b.texts, attach(chat, new Channel(), 'c').open().texts], [['hello'], ['hello'], []]);
});

test('what a channel took to its grave goes again over the next, in order, and what was heard does not', () => {
  const chat = new Chat();
  const first = attach(chat, new Channel()).open();
  const [heard] = [chat.send('heard'), chat.send('lost')];
  first.receive({ heard: heard?.id });
  first.end();
  chat.send('while away');
  assert.deepEqual(attach(chat, new Channel()).open().texts, ['lost', 'while away']);
});

test('one member who cannot be reached does not keep the others from hearing, and hears it later', () => {
  const chat = new Chat();
  const sent = sentOf(chat);
  const [a, b] = [attach(chat, new Channel(), 'a').open(), attach(chat, new Channel(), 'b').open()];
  b.end();
  const message = chat.send('hello');
  a.receive({ heard: message?.id });
  assert.deepEqual(sent, [message?.id]);
  assert.deepEqual(attach(chat, new Channel(), 'b').open().texts, ['hello']);
  assert.deepEqual(attach(chat, new Channel(), 'a').open().texts, []);
});

test('what somebody left without hearing waits for the next one, unless another has heard it', () => {
  const chat = new Chat();
  attach(chat, new Channel(), 'a').open();
  chat.send('for one');
  chat.forget('a');
  const b = attach(chat, new Channel(), 'b').open();
  assert.deepEqual(b.texts, ['for one']);
  attach(chat, new Channel(), 'c').open();
  b.receive({ heard: chat.send('for two')?.id });
  chat.forget('c');
  assert.deepEqual(attach(chat, new Channel(), 'd').open().texts, []);
});

test('a channel that is full gets the rest when it has drained', () => {
  const chat = new Chat();
  const channel = attach(chat, new Channel()).open();
  channel.readyState = 'closing'; // takes nothing
  chat.send('one');
  chat.send('two');
  channel.readyState = 'open';
  channel.dispatchEvent(new Event('bufferedamountlow'));
  chat.send('three');
  assert.deepEqual(channel.texts, ['one', 'two', 'three']);
});

test('a message that arrives twice is shown once, and answered twice', () => {
  const chat = new Chat();
  /** @type {string[]} */
  const shown = [];
  chat.addEventListener('message', ({ detail }) => shown.push(`${detail.from}: ${detail.text}`));
  const message = { id: 'x', text: 'hello', at: 1 };
  const channels = [attach(chat, new Channel()).open(), attach(chat, new Channel()).open()];
  for (const channel of channels) channel.receive(message);
  assert.deepEqual(shown, ['bo: hello']);
  assert.deepEqual(channels.map(({ sent }) => sent), [['{"heard":"x"}'], ['{"heard":"x"}']]);
});

test('texts are bounded, and so is what waits', () => {
  const chat = new Chat();
  assert.equal(chat.send(' \n'), null);
  assert.equal(chat.send('x'.repeat(maxTextCharacters + 1))?.text.length, maxTextCharacters);
  for (let i = 1; i < 100; i++) assert.ok(chat.send(`${i}`));
  assert.equal(chat.send('one more'), null);
  assert.equal(attach(chat, new Channel()).open().sent.length, 100);
});

test('one who never answers does not keep the others from talking', () => {
  const chat = new Chat();
  attach(chat, new Channel(), 'silent').open();
  const b = attach(chat, new Channel(), 'b').open();
  for (let i = 0; i < 150; i++) b.receive({ heard: chat.send(`${i}`)?.id });
  assert.equal(b.texts.length, 150);
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

test('writing is told when it begins and ends, and a text ends it', () => {
  const chat = new Chat();
  /** @type {boolean[]} */
  const told = [];
  chat.addEventListener('typing', ({ detail }) => told.push(detail.typing));
  const channel = attach(chat, new Channel()).open();
  for (const typing of [true, true, false]) chat.setTyping(typing);
  assert.deepEqual(channel.sent, ['{"typing":true}', '{"typing":false}']);
  chat.setTyping(true);
  chat.send('done');
  chat.setTyping(false);
  assert.equal(channel.sent.filter((data) => data.includes('typing')).length, 3);
  channel.receive({ typing: true });
  assert.deepEqual(told, [true]);
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
  'long answer': JSON.stringify({ heard: 'x'.repeat(65) }),
  'empty answer': '{"heard":""}',
  'strange typing': '{"typing":1}',
};
for (const [name, data] of Object.entries(strange)) {
  test(`a peer's ${name} is passed over`, () => assert.equal(decodeChat(data), null));
}

test('unknown fields are left behind', () => {
  assert.deepEqual(decodeChat('{"id":"x","text":"t","at":1,"html":"<b>"}'), { id: 'x', text: 't', at: 1 });
});

test('a member is told that a picture is left out, over every channel until it is back, and nobody else is', () => {
  const chat = new Chat();
  /** @param {Channel} channel */
  const told = (channel) => channel.sent.map((data) => JSON.parse(data).paused).filter((paused) => paused !== undefined);
  const bo = attach(chat, new Channel()).open();
  const cy = attach(chat, new Channel(), 'cy').open();
  chat.setPaused('bo', true);
  const again = attach(chat, new Channel()).open();
  assert.deepEqual([told(bo), told(cy), told(again)], [[true], [], [true]]);
  chat.setPaused('bo', false);
  assert.deepEqual([told(again), told(attach(chat, new Channel()).open())], [[true, false], []]);
  /** @type {unknown[]} */
  const heard = [];
  chat.addEventListener('paused', ({ detail }) => heard.push(detail));
  cy.receive({ paused: true });
  cy.receive({ paused: 'yes' });
  assert.deepEqual(heard, [{ paused: true, from: 'cy' }]);
});
