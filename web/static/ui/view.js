// What the call page shows, as one value, and how it gets into the page.

import { byId, setText } from './dom.js';
import { t } from './i18n.js';
import { say } from './live.js';
import { isWeak, nameOf, pathText, sceneOf, statusText } from './status.js';

/**
 * @import { View } from './status.js'
 * @import { Store } from './store.js'
 *
 * @typedef {View & {since: number, capacity: number}} CallView
 *   since: when the state began, by performance.now()
 */

/** @param {Readonly<CallView>} view */
export function render(view) {
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
  byId('key-form', HTMLElement).hidden = !scene.key;
  byId('knock', HTMLElement).hidden = !scene.knock;
  setText(byId('knock', HTMLElement), t(view.state === 'refused' ? 'scene.knock.again' : 'scene.knock'));
  byId('retry', HTMLElement).hidden = !scene.retry;
  byId('back', HTMLElement).hidden = !scene.back;
  byId('test', HTMLElement).hidden = !scene.test;
  byId('invite-again', HTMLElement).hidden = scene.invite || view.names.length + 1 >= view.capacity;
}

/** @returns {CallView} */
export function emptyView() {
  return {
    state: 'joining', since: performance.now(), seconds: 0, names: [], reason: '', failure: null, path: null, lossPercent: 0, capacity: 0, tried: false, away: '',
  };
}

/**
 * enter begins a state, and its seconds.
 *
 * @param {Store<CallView>} store
 * @param {CallView['state']} state
 * @param {Partial<CallView>} [more]
 */
export function enter(store, state, more = {}) {
  store.set({ state, since: performance.now(), seconds: 0, ...more });
  if (state === 'key') {
    byId('room-key', HTMLInputElement).focus();
    byId('room-key', HTMLInputElement).select();
  }
  const { title } = sceneOf(store.get());
  say(title || t('call.connected', { name: nameOf(store.get().names) }));
}

/**
 * @param {Store<CallView>} store
 * @param {AbortSignal} signal
 */
export function countSeconds(store, signal) {
  const tick = () => store.set({ seconds: Math.floor((performance.now() - store.get().since) / 1000) });
  const timer = setInterval(tick, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
}
