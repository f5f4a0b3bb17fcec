// What happened, for those who do not see it and for those who do.

import { byId, setText } from './dom.js';

const toastMs = 5_000;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let toastTimer;

/** @param {string} text  said by screen readers, politely */
export function say(text) {
  const live = byId('live', HTMLElement);
  live.textContent = ''; // the same words twice are said twice
  requestAnimationFrame(() => (live.textContent = text));
}

/** @param {string} text  shown for 5 s, and said */
export function toast(text) {
  const box = byId('toast', HTMLElement);
  setText(box, text);
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(hideToast, toastMs);
  say(text);
}

export function hideToast() {
  clearTimeout(toastTimer);
  byId('toast', HTMLElement).hidden = true;
}
