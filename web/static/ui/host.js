// What a host may do: lock the room, put somebody out, end the call for everybody.

import { byId, h, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say } from './live.js';

/** @import { Call } from '../sdk/duet.js' */

/**
 * startHostMenu wires the menu, until the signal aborts.
 *
 * @param {Call} call
 * @param {AbortSignal} signal
 */
export function startHostMenu(call, signal) {
  const menu = byId('host-menu', HTMLElement);
  const lock = byId('lock', HTMLButtonElement);
  const more = byId('more', HTMLButtonElement);
  const host = byId('host', HTMLElement);
  let locked = false;

  const render = () => {
    const { room } = call;
    host.hidden = !room.host;
    byId('locked', HTMLElement).hidden = !room.locked;
    setText(lock, t(room.locked ? 'host.unlock' : 'host.lock'));
    if (room.locked !== locked) say(t(room.locked ? 'say.locked' : 'say.unlocked'));
    locked = room.locked;
    renderKicks(call, menu);
  };

  lock.addEventListener('click', () => call.lock(!call.room.locked), { signal });
  byId('end', HTMLButtonElement).addEventListener('click', () => call.endForAll(), { signal });
  menu.addEventListener('toggle', (event) => more.setAttribute('aria-expanded', String(/** @type {ToggleEvent} */ (event).newState === 'open')), { signal });
  call.addEventListener('room', render, { signal });
  call.addEventListener('member', render, { signal });
  call.addEventListener('peer', render, { signal });
  onLanguage(render, signal);
  render();
  const end = () => {
    close(menu);
    host.hidden = true;
    byId('locked', HTMLElement).hidden = true;
  };
  call.addEventListener('ended', end, { signal });
  signal.addEventListener('abort', end);
}

/**
 * Buttons that are there already stay, and with them the focus.
 *
 * @param {Call} call
 * @param {HTMLElement} menu
 */
function renderKicks(call, menu) {
  const kicks = byId('kicks', HTMLElement);
  const buttons = call.members.map(({ id, name }) => {
    const label = t('host.kick', { name: name || t('call.someone.short') });
    const known = [...kicks.children].find((child) => /** @type {HTMLElement} */ (child).dataset.member === id);
    if (known) {
      setText(known, label);
      return known;
    }
    const button = h('button', { type: 'button', class: 'wide', 'data-member': id }, label);
    button.addEventListener('click', () => {
      close(menu);
      call.kick(id);
    });
    return button;
  });
  if (buttons.length !== kicks.children.length || buttons.some((button, i) => button !== kicks.children[i])) kicks.replaceChildren(...buttons);
}

/** @param {HTMLElement} menu */
function close(menu) {
  if (menu.matches(':popover-open')) menu.hidePopover();
}
