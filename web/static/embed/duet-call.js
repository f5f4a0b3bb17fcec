// <duet-call>: a call as one element, for pages that have their own design and want no frame.
//
//     <script type="module" src="https://call.example.org/embed/duet-call.js"></script>
//     <duet-call room="tea" name="Ann"></duet-call>
//
// docs/embedding.md says what its attributes, methods, events and parts are. They are read at each
// join(). It leaves, and lets go of the camera, when it is taken out of the page.

import { Call } from '../sdk/duet.js';
import { report } from './report.js';
import { words } from './words.js';

/** @import { CallState } from '../sdk/duet.js' */
/** @import { Reports } from './report.js' */

const style = new CSSStyleSheet();
style.replaceSync(`
  :host { display: block; position: relative; aspect-ratio: 16 / 9; min-block-size: 12rem; overflow: hidden; background: #0b0d10; color: #e9ecf1; font: 16px/1.5 system-ui, sans-serif; }
  :host([hidden]), [hidden] { display: none !important; }
  #tiles { position: absolute; inset: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: 4px; }
  video { inline-size: 100%; block-size: 100%; min-block-size: 0; object-fit: contain; }
  #self { position: absolute; inset: 12px 12px auto auto; inline-size: 22%; block-size: auto; aspect-ratio: 4 / 3; object-fit: cover; border-radius: 8px; transform: scaleX(-1); }
  #status { position: absolute; inset: 12px auto auto 12px; max-inline-size: 65%; margin: 0; padding: 4px 12px; border-radius: 12px; background: #0b0d10cc; overflow-wrap: anywhere; }
  #status:empty { display: none; }
  #bar { position: absolute; inset: auto 0 12px; display: flex; flex-wrap: wrap; gap: 8px; justify-content: center; }
  button { font: inherit; min-block-size: 44px; padding: 8px 18px; border: 1px solid #6b7481; border-radius: 999px; background: #20262e; color: inherit; cursor: pointer; }
  #leave { background: #c53030; }
  button:focus-visible { outline: 3px solid #4fd8c4; outline-offset: 2px; }
`);

export class DuetCallElement extends HTMLElement {
  #root = this.attachShadow({ mode: 'open' });
  #tiles = make('div', 'tiles');
  #self = video('self');
  #status = make('p', 'status');
  #bar = make('div', 'bar');
  #buttons = { join: make('button', 'join'), mic: make('button', 'mic'), camera: make('button', 'camera'), leave: make('button', 'leave') };
  /** @type {Call | null} */
  #call = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** Ends with the join() that it belongs to. */
  #life = new AbortController();

  constructor() {
    super();
    const { join, mic, camera, leave } = this.#buttons;
    this.#root.adoptedStyleSheets = [style];
    this.#status.setAttribute('role', 'status');
    this.#self.muted = true;
    this.#self.hidden = true;
    this.#bar.append(join, mic, camera, leave);
    this.#root.append(this.#tiles, this.#self, this.#status, this.#bar);
    join.addEventListener('click', () => void this.join().catch(() => {})); // `error` tells
    leave.addEventListener('click', () => this.leave());
    // A browser that wanted a gesture before it plays sound has one.
    this.addEventListener('pointerdown', () => this.#tiles.querySelectorAll('video').forEach((picture) => void picture.play().catch(() => {})));
    mic.addEventListener('click', () => this.#toggle('audio'));
    camera.addEventListener('click', () => this.#toggle('video'));
  }

  connectedCallback() {
    this.setAttribute('role', this.getAttribute('role') ?? 'group');
    if (!this.hasAttribute('aria-label')) this.setAttribute('aria-label', this.#words.label);
    this.#render();
    if (this.hasAttribute('autojoin')) void this.join().catch(() => {});
  }

  disconnectedCallback() {
    this.leave();
  }

  /** The call, while there is one: for chat, the path and all else that the SDK has. */
  get call() {
    return this.#call;
  }

  /**
   * join asks for the camera and the microphone and enters the room.
   *
   * @returns {Promise<void>} rejects with a SignalingError where the server does not let us in
   */
  async join() {
    if (this.#call || this.#stream) return;
    const life = new AbortController();
    this.#life = life;
    const stream = new MediaStream();
    this.#stream = stream;
    this.#render();
    this.#say(this.#words.joining);
    for (const track of await devices()) {
      if (life.signal.aborted) track.stop(); // left meanwhile
      else stream.addTrack(track);
    }
    if (life.signal.aborted) return;
    this.#self.srcObject = stream;
    const room = this.getAttribute('room') ?? '';
    const call = new Call({
      room,
      stream,
      name: this.getAttribute('name') ?? '',
      token: this.getAttribute('token') ?? undefined,
      key: this.getAttribute('key') ?? undefined,
      policy: this.getAttribute('policy') === 'relay' ? 'relay' : 'all',
      ...(this.hasAttribute('server') && { url: serverURL(this.getAttribute('server') ?? '') }),
    });
    this.#call = call;
    this.#follow(call, room);
    this.#render();
    this.#tellDevices();
    await call.join();
  }

  /** leave ends the call and lets go of the camera and the microphone. */
  leave() {
    this.#life.abort();
    if (this.#call) this.#call.leave();
    else this.#end('');
  }

  /**
   * @param {Call} call
   * @param {string} room
   */
  #follow(call, room) {
    /** @type {Map<MediaStream, HTMLVideoElement>} */
    const shown = new Map();
    call.addEventListener('state', ({ detail: { state } }) => {
      if (state !== 'new' && state !== 'ended') this.#say(this.#stateWords(state));
    });
    call.addEventListener('peer', ({ detail: { member, stream, state } }) => {
      if (state === 'connected' && !shown.has(stream)) {
        const picture = video();
        picture.setAttribute('aria-label', member.name || this.#words.someone);
        picture.srcObject = stream;
        shown.set(stream, picture);
        this.#tiles.append(picture);
      } else if (state === 'closed') {
        shown.get(stream)?.remove();
        shown.delete(stream);
      }
    });
    call.addEventListener('ended', ({ detail: { error } }) => {
      if (this.#call === call) this.#end(error ? this.#words.failed.replace('{message}', () => error.message || error.code) : this.#words.ended);
    });
    report(call, room, (type, detail) => this.#tell(type, detail));
  }

  /**
   * @template {keyof Reports} K
   * @param {K} type
   * @param {Reports[K]} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: type !== 'error', composed: true }));
  }

  /** @param {string} text */
  #end(text) {
    this.#call = null;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = this.#self.srcObject = null;
    this.#tiles.replaceChildren();
    this.#say(text);
    this.#render();
  }

  /** @param {'audio' | 'video'} kind */
  #toggle(kind) {
    for (const track of this.#stream?.getTracks() ?? []) if (track.kind === kind) track.enabled = !track.enabled;
    this.#tellDevices();
    this.#render();
  }

  #tellDevices() {
    this.#call?.setDevices({ mic: this.#on('audio'), camera: this.#on('video') });
  }

  /** @param {'audio' | 'video'} kind */
  #on(kind) {
    return this.#stream?.getTracks().some((track) => track.kind === kind && track.enabled) ?? false;
  }

  /** @param {string} text */
  #say(text) {
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  /** @param {Exclude<CallState, 'new' | 'ended'>} state */
  #stateWords(state) {
    return state === 'waiting' && this.#stream?.getTracks().length === 0 ? this.#words.nothing : this.#words[state];
  }

  #render() {
    const { join, mic, camera, leave } = this.#buttons;
    const inside = this.#stream !== null;
    const has = (/** @type {string} */ kind) => this.#stream?.getTracks().some((track) => track.kind === kind) ?? false;
    join.hidden = inside;
    leave.hidden = !inside;
    mic.hidden = !has('audio');
    camera.hidden = !has('video');
    this.#self.hidden = !this.#on('video');
    const text = this.#words;
    this.#self.setAttribute('aria-label', text.you);
    join.textContent = text.join;
    leave.textContent = text.leave;
    mic.textContent = this.#on('audio') ? text.mute : text.unmute;
    camera.textContent = this.#on('video') ? text.cameraOff : text.cameraOn;
  }

  /** In the language of the page around it. */
  get #words() {
    const tag = this.closest('[lang]')?.getAttribute('lang') || navigator.language;
    return /^zh\b/i.test(tag) ? words.zh : words.en;
  }
}

customElements.define('duet-call', DuetCallElement);

/**
 * What there is of a camera and a microphone: one missing does not cost the other.
 *
 * @returns {Promise<MediaStreamTrack[]>}
 */
async function devices() {
  for (const wanted of [{ audio: true, video: true }, { audio: true }, { video: true }]) {
    try {
      return (await navigator.mediaDevices.getUserMedia(wanted)).getTracks();
    } catch {
      // The next, with less.
    }
  }
  return [];
}

/** @param {string} server  its address, "https://call.example.org" */
function serverURL(server) {
  const url = new URL('/v1/ws', server);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} id
 */
function make(tag, id) {
  const made = document.createElement(tag);
  made.id = id;
  if (made instanceof HTMLButtonElement) made.type = 'button';
  return made;
}

/** @param {string} [id] */
function video(id) {
  const made = document.createElement('video');
  if (id) made.id = id;
  made.autoplay = made.playsInline = true;
  return made;
}
