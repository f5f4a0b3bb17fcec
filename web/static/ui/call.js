// The call page: one Call of the SDK, shown.
//
// The DOM contract, for end-to-end tests and support:
//
//   body[data-state]  home | permission | joining | knocking | waiting | connecting | connected |
//                     reconnecting | left | full | key | locked | refused | ended | error
//   home:  #name, #room, #start (new call), #new-key (its key), #join,
//          #camera-choice, #microphone-choice, #speaker-choice, #speaker-test
//   call:  #leave, #mic, #camera, #screen, #full, #little, #chat-toggle, #chat-input, #chat-send,
//          #chat-log (children .msg with .text; your own have .you; files .file[data-state] with .accept,
//          .refuse, .pause, .cancel), #file-pick (what is to be sent),
//          #remote-video (of the first of the others), #self-video, #status (text),
//          #path[data-path="direct|relayed"][data-protocol="udp|tcp|tls"],
//          #quality (the mark, see quality-panel.js), #audio-only,
//          #invite-link (its value), #copy-invite, #retry, #back
//   key:   #room-key, #open (the room); locked and refused: #knock
//   inside a locked room: #locked, #knocks (children .knock with .admit and .refuse)
//   #more opens #host-menu: #call-camera-choice, #call-microphone-choice, #call-speaker-choice,
//          #call-media (why one of them is missing); for hosts #lock, #kicks (a button each), #end
//   #mic, #camera: aria-pressed="true" means switched off; #screen: that it is shared.
//   #media-notice[data-problem]: why there is no camera or microphone; #media-retry, #media-skip.

import { Call } from '../sdk/duet.js';
import { startCallDevices } from './call-devices.js';
import { ChatPanel } from './chat-panel.js';
import { startControls } from './controls.js';
import { byId } from './dom.js';
import { startHostMenu } from './host.js';
import { onLanguage, t } from './i18n.js';
import { showInvite } from './invite.js';
import { renderKnocks } from './knocks.js';
import { hideToast, say, toast } from './live.js';
import { startQuality } from './quality.js';
import { Screen } from './screen.js';
import { dropSeat, keepSeat } from './seat.js';
import { Stage } from './stage.js';
import { createStore } from './store.js';
import { countSeconds, emptyView, enter, render } from './view.js';
import { keepAwake } from './wakelock.js';

/**
 * @import { SignalingError } from '../sdk/duet.js'
 * @import { SessionInfo } from '../sdk/message.js'
 * @import { Media } from './media.js'
 * @import { Speaker } from './speaker.js'
 * @import { Store } from './store.js'
 * @import { CallView } from './view.js'
 *
 * @typedef {{room: string, name: string, key: string, create: boolean, knock?: boolean, previous?: SessionInfo | null}} Entry
 *   How to get in: as CallOptions say.
 */

/** How often the page notes that the call goes on, for the one that is loaded after it. */
const noteEveryMs = 5_000;

/**
 * runCall shows a call until it is left. Trying again after a refusal is a new Call
 * with the same camera.
 *
 * @param {Entry & {token: string, media: Media, speaker: Speaker, policy: RTCIceTransportPolicy, follow?: (call: Call, room: string) => void, signal: AbortSignal, reloaded: AbortSignal}} options
 *   follow: is told of each Call
 *   signal: abort leaves. reloaded: abort leaves for a page that comes back, perhaps
 * @returns {Promise<void>} when the page should show home again
 */
export async function runCall(options) {
  const view = byId('call', HTMLElement);
  view.hidden = false;
  byId('call-title', HTMLElement).focus(); // where a screen reader goes on
  /** @type {Partial<Entry> | null} */
  let next = {};
  try {
    for (let entry = options; next; entry = { ...entry, previous: null, ...next }) next = await attempt(entry);
  } finally {
    view.hidden = true;
    hideToast();
  }
}

/**
 * @param {Parameters<typeof runCall>[0]} options
 * @returns {Promise<Partial<Entry> | null>} how to try again, or null: not at all
 */
function attempt({ media, speaker, policy, follow: tell, signal: outer, reloaded, ...entry }) {
  return new Promise((resolve) => {
    const life = new AbortController();
    const { signal } = life;
    /** @type {Store<CallView>} */
    const store = createStore(emptyView());
    /** @type {Call | null} */
    let call = null;
    const finish = (/** @type {Partial<Entry> | null} */ next) => {
      life.abort();
      call?.leave();
      dropSeat();
      resolve(next);
    };
    const leave = () => finish(null);
    const again = (/** @type {string} */ id, /** @type {() => Partial<Entry>} */ how) =>
      byId(id, HTMLButtonElement).addEventListener('click', () => finish(how()), { signal });
    outer.addEventListener('abort', leave, { signal });
    reloaded.addEventListener('abort', () => call?.leave({ forReload: true }), { signal });
    again('retry', () => ({}));
    again('knock', () => ({ knock: true }));
    byId('back', HTMLButtonElement).addEventListener('click', leave, { signal });
    askForKey(entry.key, (key) => finish({ key, create: false }), signal);

    const chat = new ChatPanel({ send: (text) => call?.sendChat(text) ?? false, setTyping: (typing) => call?.setTyping(typing) }, signal);
    const screen = new Screen(media, signal);
    startControls({ media, screen, leave, toggleChat: () => chat.open(!chat.isOpen), signal });
    showInvite(entry.room, entry.key, signal);
    byId('relay-only', HTMLElement).hidden = policy !== 'relay';
    store.follow(render, signal);
    onLanguage(() => render(store.get()), signal);
    countSeconds(store, signal);
    if (outer.aborted) return leave();
    if (typeof RTCPeerConnection === 'undefined' || typeof WebSocket === 'undefined') {
      return enter(store, 'error', { failure: { code: 'unsupported', message: '' } });
    }
    call = new Call({ ...entry, policy, stream: media.stream });
    follow(call, { store, chat, media, speaker, screen, entry, signal });
    tell?.(call, entry.room);
    followRoom(call, signal);
    offerFiles(call, chat, signal);
    rememberSeat(call, entry, media, signal);
    keepAwake(signal);
    void call.join().catch(() => {}); // "ended" tells
  });
}

/**
 * offerFiles loads what sends and takes files once the call is there.
 *
 * @param {Call} call
 * @param {ChatPanel} chat
 * @param {AbortSignal} signal
 */
function offerFiles(call, chat, signal) {
  const begin = (/** @type {{detail: {state: string}}} */ { detail: { state } }) => {
    if (state !== 'connected') return;
    call.removeEventListener('state', begin);
    import('./files.js').then(({ startFiles }) => startFiles(call, chat, signal)).catch((error) => console.warn('duet:', error));
  };
  call.addEventListener('state', begin, { signal });
}

/**
 * askForKey wires the field that a keyed room is opened with.
 *
 * @param {string} key  that was tried
 * @param {(key: string) => void} open
 * @param {AbortSignal} signal
 */
function askForKey(key, open, signal) {
  const field = byId('room-key', HTMLInputElement);
  field.value = key;
  byId('key-form', HTMLFormElement).addEventListener(
    'submit',
    (event) => {
      event.preventDefault();
      open(field.value.trim());
    },
    { signal },
  );
}

/**
 * rememberSeat keeps in mind what the next page of this tab takes the seat back with.
 *
 * @param {Call} call
 * @param {Entry} entry
 * @param {Media} media
 * @param {AbortSignal} signal
 */
function rememberSeat(call, { room, key, name }, media, signal) {
  /** @type {SessionInfo | null} */
  let session = null;
  const note = () => {
    if (session) keepSeat({ room, key, name, session, at: Date.now(), on: { mic: media.wanted.mic, camera: media.wanted.camera } });
  };
  call.addEventListener(
    'session',
    ({ detail }) => {
      session = detail;
      note();
    },
    { signal },
  );
  call.addEventListener('ended', ({ detail: { reason } }) => reason === 'error' && dropSeat(), { signal });
  media.addEventListener('change', note, { signal });
  const timer = setInterval(note, noteEveryMs);
  addEventListener('pagehide', note, { signal });
  signal.addEventListener('abort', () => clearInterval(timer));
  call.addEventListener('ended', () => clearInterval(timer), { signal });
}

/**
 * followRoom shows who would like to come in, and what a host may do.
 *
 * @param {Call} call
 * @param {AbortSignal} signal
 */
function followRoom(call, signal) {
  startHostMenu(call, signal);
  call.addEventListener('room', ({ detail: { knocks } }) => renderKnocks(knocks, call), { signal });
  onLanguage(() => {
    renderKnocks([], call);
    renderKnocks(call.room.knocks, call);
  }, signal);
  const clear = () => renderKnocks([], call);
  call.addEventListener('ended', clear, { signal });
  signal.addEventListener('abort', clear);
}

/**
 * follow lets what happens in the call change what the page shows.
 *
 * @param {Call} call
 * @param {{store: Store<CallView>, chat: ChatPanel, media: Media, speaker: Speaker, screen: Screen, entry: Entry, signal: AbortSignal}} page
 */
function follow(call, { store, chat, media, speaker, screen, entry, signal }) {
  const owned = { signal };
  const stage = new Stage(speaker, signal, () => toast(t('say.play')));
  startQuality(call, stage, signal);
  const names = () => call.members.map((member) => member.name || t('call.someone.short'));
  const tellDevices = () => call.setDevices({ ...media.on, screen: screen.on });

  call.addEventListener(
    'state',
    ({ detail: { state, member, reason } }) => {
      if (state === 'ended' || state === 'new') return; // "ended" says why
      const shown = state === 'left' && member ? [member.name] : names();
      enter(store, state, { names: shown, reason, path: null, lossPercent: 0, capacity: call.capacity });
    },
    owned,
  );
  call.addEventListener(
    'member',
    ({ detail: { event, member, reason } }) => {
      if (event !== 'left' || call.members.length > 0) store.set({ names: names() });
      store.set({ away: event === 'away' ? member.name || t('call.someone.short') : '' });
      if (event === 'left') chat.typing(member, false);
      stage.update(member);
      if (event === 'away' && reason === 'left') return; // a page that is loaded again, or `left` follows
      const why = event === 'left' && reason === 'kicked' ? 'kicked' : event;
      say(t(`say.${why}`, { name: member.name || t('call.someone.short') }));
    },
    owned,
  );
  call.addEventListener(
    'peer',
    ({ detail: { member, stream, state } }) => {
      if (state === 'connected') stage.add(member, stream);
      if (state === 'closed') stage.remove(stream);
    },
    owned,
  );
  call.addEventListener('track', ({ detail: { stream, track } }) => stage.watch(stream, track), owned);
  call.addEventListener('devices', ({ detail: { member, ...devices } }) => stage.setDevices(member, devices), owned);
  call.addEventListener('path', ({ detail: { path, lossPercent } }) => store.set({ path, lossPercent }), owned);
  call.addEventListener('chat', ({ detail }) => chat.add(detail, call.members.length === 0), owned);
  call.addEventListener('typing', ({ detail: { member, typing } }) => chat.typing(member, typing), owned);
  call.addEventListener('sent', ({ detail }) => chat.sent(detail.id), owned);
  call.addEventListener(
    'interrupted',
    ({ detail: { code, message } }) => store.set({ failure: { code, message } }),
    owned,
  );
  call.addEventListener(
    'refused',
    ({ detail: { code, message } }) => toast(code === 'room_full' ? t('say.nofree') : t('say.refused', { message })),
    owned,
  );
  call.addEventListener('error', ({ detail }) => console.warn('duet:', detail), owned);
  call.addEventListener(
    'ended',
    ({ detail: { error } }) =>
      error && enter(store, endState(error, entry, call.capacity > 0), { failure: error, tried: entry.key !== '' }),
    owned,
  );
  screen.addEventListener('track', ({ detail: { kind, track } }) => call.setTrack(kind, track), owned);
  screen.addEventListener('change', tellDevices, owned);
  media.addEventListener('change', tellDevices, owned);
  tellDevices();
  startCallDevices(media, speaker, signal);
}

/** What the page shows after a refusal. @type {Record<string, CallView['state']>} */
const refusals = { room_full: 'full', bad_key: 'key', room_locked: 'locked' };
/** Endings that have words of their own, whether we had been in or not. */
const endings = ['kicked', 'ended', 'replaced'];

/**
 * @param {SignalingError} error
 * @param {Entry} entry
 * @param {boolean} joined  we had been in
 * @returns {CallView['state']}
 */
function endState({ code }, { knock }, joined) {
  if (code === 'forbidden' && knock) return 'refused';
  return refusals[code] ?? (joined || endings.includes(code) ? 'ended' : 'error');
}
