// The call page: one Call of the SDK, shown.
//
// The DOM contract, for end-to-end tests and support:
//
//   body[data-state]  home | permission | joining | waiting | connecting | connected |
//                     reconnecting | left | full | ended | error
//   home:  #name, #room, #start (new call), #join
//   call:  #leave, #mic, #camera, #chat-toggle, #chat-input, #chat-send,
//          #chat-log (children .msg with .text; your own have .you),
//          #remote-video (of the first of the others), #self-video, #status (text),
//          #path[data-path="direct|relayed"][data-protocol="udp|tcp|tls"],
//          #invite-link (its value), #copy-invite, #retry, #back
//   #mic, #camera: aria-pressed="true" means switched off.
//   #media-notice[data-problem]: why there is no camera or microphone; #media-retry, #media-skip.

import { Call } from '../sdk/duet.js';
import { ChatPanel } from './chat-panel.js';
import { startControls } from './controls.js';
import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { showInvite } from './invite.js';
import { hideToast, say, toast } from './live.js';
import { Stage } from './stage.js';
import { isWeak, nameOf, pathText, sceneOf, statusText } from './status.js';
import { createStore } from './store.js';
import { keepAwake } from './wakelock.js';

/**
 * @import { SignalingError } from '../sdk/duet.js'
 * @import { Media } from './media.js'
 * @import { View } from './status.js'
 * @import { Store } from './store.js'
 *
 * @typedef {View & {since: number, capacity: number}} CallView
 *   since: when the state began, by performance.now()
 */

/**
 * runCall shows a call until it is left. Trying again after a refusal is a new Call
 * with the same camera.
 *
 * @param {{room: string, name: string, token: string, media: Media, policy: RTCIceTransportPolicy, signal: AbortSignal}} options
 *   signal: abort leaves
 * @returns {Promise<void>} when the page should show home again
 */
export async function runCall(options) {
  const view = byId('call', HTMLElement);
  view.hidden = false;
  byId('call-title', HTMLElement).focus(); // where a screen reader goes on
  try {
    while ((await attempt(options)) === 'retry');
  } finally {
    view.hidden = true;
    hideToast();
  }
}

/**
 * @param {Parameters<typeof runCall>[0]} options
 * @returns {Promise<'retry' | 'home'>}
 */
function attempt({ room, name, token, media, policy, signal: outer }) {
  return new Promise((resolve) => {
    const life = new AbortController();
    const { signal } = life;
    /** @type {Store<CallView>} */
    const store = createStore(/** @type {CallView} */ (emptyView()));
    /** @type {Call | null} */
    let call = null;
    const finish = (/** @type {'retry' | 'home'} */ next) => {
      life.abort();
      call?.leave();
      resolve(next);
    };
    const leave = () => finish('home');
    outer.addEventListener('abort', leave, { signal });
    byId('retry', HTMLButtonElement).addEventListener('click', () => finish('retry'), { signal });
    byId('back', HTMLButtonElement).addEventListener('click', leave, { signal });

    const chat = new ChatPanel((text) => call?.sendChat(text), signal);
    startControls({ media, leave, toggleChat: () => chat.open(!chat.isOpen), signal });
    showInvite(room, signal);
    byId('relay-only', HTMLElement).hidden = policy !== 'relay';
    store.follow(render, signal);
    onLanguage(() => render(store.get()), signal);
    countSeconds(store, signal);
    if (outer.aborted) return leave();
    if (typeof RTCPeerConnection === 'undefined' || typeof WebSocket === 'undefined') {
      return enter(store, 'error', { failure: { code: 'unsupported', message: '' } });
    }
    call = new Call({ room, name, token, policy, stream: media.stream });
    follow(call, { store, chat, media, signal });
    keepAwake(signal);
    void call.join().catch(() => {}); // "ended" tells
  });
}

/**
 * follow lets what happens in the call change what the page shows.
 *
 * @param {Call} call
 * @param {{store: Store<CallView>, chat: ChatPanel, media: Media, signal: AbortSignal}} page
 */
function follow(call, { store, chat, media, signal }) {
  const owned = { signal };
  const stage = new Stage(signal, () => toast(t('say.play')));
  const names = () => call.members.map((member) => member.name || t('call.someone.short'));
  const tellDevices = () => call.setDevices(media.on);

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
    ({ detail: { event, member } }) => {
      if (event !== 'left' || call.members.length > 0) store.set({ names: names() });
      say(t(`say.${event}`, { name: member.name || t('call.someone.short') }));
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
  call.addEventListener('devices', ({ detail: { member, mic, camera } }) => stage.setDevices(member, { mic, camera }), owned);
  call.addEventListener('path', ({ detail: { path, lossPercent } }) => store.set({ path, lossPercent }), owned);
  call.addEventListener('chat', ({ detail }) => chat.add(detail), owned);
  call.addEventListener('sent', ({ detail }) => chat.sent(detail.id), owned);
  call.addEventListener(
    'interrupted',
    ({ detail: { code, message } }) => store.set({ failure: { code, message } }),
    owned,
  );
  call.addEventListener('error', ({ detail }) => console.warn('duet:', detail), owned);
  call.addEventListener(
    'ended',
    ({ detail: { error } }) => error && enter(store, endState(error, call.capacity > 0), { failure: error }),
    owned,
  );
  media.addEventListener('track', ({ detail: { kind, track } }) => call.setTrack(kind, track), owned);
  media.addEventListener('gone', ({ detail: { label } }) => toast(t('media.gone', { device: label })), owned);
  media.addEventListener('change', tellDevices, owned);
  tellDevices();
  whenTheNetworkMayHaveChanged(() => call.retryNow(), signal);
  if (media.problem && media.track('audio')) toast(t('media.nocamera'));
  else if (media.problem && media.track('video')) toast(t('media.nomicrophone'));
}

/**
 * @param {() => void} act
 * @param {AbortSignal} signal
 */
function whenTheNetworkMayHaveChanged(act, signal) {
  addEventListener('online', act, { signal });
  addEventListener('pageshow', act, { signal });
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && act(), { signal });
  /** @type {{connection?: EventTarget}} */ (navigator).connection?.addEventListener('change', act, { signal });
}

/**
 * @param {SignalingError} error
 * @param {boolean} joined  we had been in
 */
function endState(error, joined) {
  if (error.code === 'room_full') return 'full';
  return joined ? 'ended' : 'error';
}

/** @param {Readonly<CallView>} view */
function render(view) {
  if (document.body.dataset.state !== view.state) document.body.dataset.state = view.state;
  const title = t('call.title.with', { name: nameOf(view.names) });
  document.title = view.state === 'connected' ? title : t('call.title');
  setText(byId('call-title', HTMLElement), document.title);
  setText(byId('status', HTMLElement), statusText(view));

  const path = byId('path', HTMLElement);
  path.hidden = view.path === null || view.state !== 'connected';
  setText(path, view.path ? pathText(view.path) : '');
  path.dataset.path = view.path?.path ?? '';
  path.dataset.protocol = view.path?.protocol ?? '';
  const weak = byId('weak', HTMLElement);
  weak.hidden = !isWeak(view);
  weak.title = t('path.weak.title', { loss: view.lossPercent });

  const scene = sceneOf(view);
  setText(byId('scene-title', HTMLElement), scene.title);
  setText(byId('scene-text', HTMLElement), scene.text);
  byId('invite', HTMLElement).hidden = !scene.invite;
  byId('retry', HTMLElement).hidden = !scene.retry;
  byId('back', HTMLElement).hidden = !scene.back;
  byId('test', HTMLElement).hidden = !scene.test;
  byId('invite-again', HTMLElement).hidden = scene.invite || view.names.length + 1 >= view.capacity;
}

/** @returns {CallView} */
function emptyView() {
  return {
    state: 'joining', since: performance.now(), seconds: 0, names: [], reason: '', failure: null, path: null, lossPercent: 0, capacity: 0,
  };
}

/**
 * enter begins a state, and its seconds.
 *
 * @param {Store<CallView>} store
 * @param {CallView['state']} state
 * @param {Partial<CallView>} [more]
 */
function enter(store, state, more = {}) {
  store.set({ state, since: performance.now(), seconds: 0, ...more });
  const { title } = sceneOf(store.get());
  say(title || t('call.connected', { name: nameOf(store.get().names) }));
}

/**
 * @param {Store<CallView>} store
 * @param {AbortSignal} signal
 */
function countSeconds(store, signal) {
  const tick = () => store.set({ seconds: Math.floor((performance.now() - store.get().since) / 1000) });
  const timer = setInterval(tick, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
}
