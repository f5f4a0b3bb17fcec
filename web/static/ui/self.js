// Your own picture: in any corner, large in place of the other's, or out of sight.

import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say } from './live.js';
import { recall, remember } from './remembered.js';

/** In the order in which a picture goes around. */
const corners = ['top-left', 'top-right', 'bottom-right', 'bottom-left'];
/** Pixels from which on a press is a drag. */
const dragPx = 6;

/**
 * startSelf wires the picture and its menu, until the signal aborts. It returns what the keys h and x do.
 *
 * @param {AbortSignal} signal
 * @returns {Record<string, () => void>}
 */
export function startSelf(signal) {
  const view = byId('call', HTMLElement);
  const self = byId('self', HTMLElement);
  const menu = byId('self-menu', HTMLElement);
  const hide = byId('self-hide', HTMLButtonElement);
  const back = byId('self-back', HTMLButtonElement);
  const owned = { signal };

  const put = (/** @type {string} */ corner) => {
    if (corners.includes(corner)) view.dataset.corner = corner;
    remember('corner', corner);
  };
  const next = () => {
    const box = self.getBoundingClientRect();
    put(corners[(corners.indexOf(cornerOf(view, box.x + box.width / 2, box.y + box.height / 2)) + 1) % corners.length] ?? '');
  };
  const render = () => {
    const hidden = view.classList.contains('self-hidden');
    setText(hide, t(hidden ? 'self.show' : 'self.hide'));
    back.hidden = !hidden;
  };
  const toggleHidden = () => {
    const hidden = view.classList.toggle('self-hidden');
    view.classList.remove('swapped');
    render();
    say(t(hidden ? 'say.self.hidden' : 'say.self.shown'));
    if (hidden && !menu.contains(document.activeElement)) return;
    if (menu.matches(':popover-open')) menu.hidePopover();
    (hidden ? back : byId('self-open', HTMLButtonElement)).focus();
  };
  const swap = () => {
    view.classList.remove('self-hidden');
    say(t(view.classList.toggle('swapped') ? 'say.self.large' : 'say.self.shown'));
    render();
  };

  if (corners.includes(recall('corner'))) view.dataset.corner = recall('corner');
  byId('self-move', HTMLButtonElement).addEventListener('click', next, owned);
  byId('self-swap', HTMLButtonElement).addEventListener('click', swap, owned);
  hide.addEventListener('click', toggleHidden, owned);
  back.addEventListener('click', toggleHidden, owned);
  const drop = (/** @type {number} */ x, /** @type {number} */ y) => put(cornerOf(view, x, y));
  drag(self, () => !view.classList.contains('swapped'), drop, signal);
  drag(byId('tiles', HTMLElement), () => view.classList.contains('swapped'), drop, signal);
  onLanguage(render, signal);
  render();
  signal.addEventListener('abort', () => {
    view.classList.remove('swapped', 'self-hidden');
    if (menu.matches(':popover-open')) menu.hidePopover();
    back.hidden = true;
  });
  return { h: toggleHidden, x: swap };
}

/**
 * @param {HTMLElement} view
 * @param {number} x
 * @param {number} y
 */
function cornerOf(view, x, y) {
  const { left, top, width, height } = view.getBoundingClientRect();
  return `${y < top + height / 2 ? 'top' : 'bottom'}-${x < left + width / 2 ? 'left' : 'right'}`;
}

/**
 * drag lets a box follow the pointer, and tells where it was let go. A press without way is a click.
 *
 * @param {HTMLElement} box
 * @param {() => boolean} mayMove
 * @param {(x: number, y: number) => void} drop
 * @param {AbortSignal} signal
 */
function drag(box, mayMove, drop, signal) {
  /** @type {{x: number, y: number, moved: boolean} | null} */
  let from = null;
  const end = () => {
    from = null;
    box.style.translate = '';
  };
  const owned = { signal };
  box.addEventListener(
    'pointerdown',
    ({ isPrimary, button, pointerId, target, clientX: x, clientY: y }) => {
      if (!isPrimary || button !== 0 || !mayMove()) return;
      from = { x, y, moved: false };
      if (target instanceof Element) target.setPointerCapture(pointerId); // a fast hand is out of the box at once
    },
    owned,
  );
  box.addEventListener(
    'pointermove',
    (event) => {
      if (!from || !event.isPrimary) return;
      const [x, y] = [event.clientX - from.x, event.clientY - from.y];
      from.moved ||= Math.hypot(x, y) >= dragPx;
      if (from.moved) box.style.translate = `${x}px ${y}px`;
    },
    owned,
  );
  box.addEventListener(
    'pointerup',
    (event) => {
      if (from?.moved && event.isPrimary) {
        drop(event.clientX, event.clientY);
        box.addEventListener('click', (click) => click.preventDefault(), { capture: true, once: true });
      }
      end();
    },
    owned,
  );
  box.addEventListener('pointercancel', end, owned);
  signal.addEventListener('abort', end);
}
