// The link that brings the other person here.

import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { say, toast } from './live.js';
import { inviteLink } from './room.js';

const copiedMs = 2_500;

/**
 * showInvite fills the link and wires what copies it.
 *
 * @param {string} room
 * @param {string} key  of the room; "" without one
 * @param {AbortSignal} signal
 */
export function showInvite(room, key, signal) {
  const field = byId('invite-link', HTMLInputElement);
  const text = byId('copy-text', HTMLElement);
  field.value = inviteLink(location.origin, room, key);
  let copied = false;
  const render = () => {
    setText(text, t(copied ? 'invite.copied' : 'invite.copy'));
    setText(byId('invite-code', HTMLElement), t('invite.code', { host: location.host, room }));
  };
  const copy = async () => {
    if (!(await writeClipboard(field))) return toast(t('invite.failed'));
    copied = true;
    render();
    setTimeout(() => {
      copied = false;
      render();
    }, copiedMs);
    say(t('say.copied'));
  };
  byId('copy-invite', HTMLButtonElement).addEventListener('click', () => void copy(), { signal });
  byId('invite-again', HTMLButtonElement).addEventListener(
    'click',
    () => void copy().then(() => copied && toast(t('say.copied'))),
    { signal },
  );
  void drawCode(field.value, byId('invite-qr', HTMLImageElement), signal);
  field.addEventListener('focus', () => field.select(), { signal });
  onLanguage(render, signal);
  render();
}

/**
 * drawCode shows the link as the server draws it; without that there is the link.
 *
 * @param {string} link
 * @param {HTMLImageElement} image
 * @param {AbortSignal} signal
 */
async function drawCode(link, image, signal) {
  image.hidden = true;
  try {
    const response = await fetch('/qr', { method: 'POST', body: link, signal });
    if (!response.ok) return;
    const url = URL.createObjectURL(await response.blob());
    signal.addEventListener('abort', () => URL.revokeObjectURL(url));
    image.src = url;
    image.hidden = false;
  } catch {
    // The server is gone, or the call is over.
  }
}

/**
 * @param {HTMLInputElement} field
 * @returns {Promise<boolean>}
 */
async function writeClipboard(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus(); // selects it: an address without https has no clipboard
    return false;
  }
}
