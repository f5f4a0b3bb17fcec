// What happened, for those who do not see it and for those who do.

import { byId, setText } from './dom.js';

const toastMs = 5_000;
/** What happens at once is said in one go, in order. */
const gatherMs = 60;

/** @type {string[]} */
const unsaid = [];

/** @type {ReturnType<typeof setTimeout> | undefined} */
let toastTimer;

/** @param {string} text  said by screen readers, politely */
export function say(text) {
  if (unsaid.includes(text)) return;
  byId('live', HTMLElement).textContent = ''; // the same words later are said again
  if (unsaid.push(text) > 1) return;
  setTimeout(() => (byId('live', HTMLElement).textContent = unsaid.splice(0).join(' ')), gatherMs);
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
