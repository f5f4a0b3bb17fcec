// The chat beside the picture: text only, gone with the call.

import { byId, h, setText } from './dom.js';
import { language, onLanguage, t } from './i18n.js';
import { say } from './live.js';

/**
 * @import { ChatMessage } from '../sdk/chat.js'
 * @import { Member } from '../sdk/message.js'
 */

/** The oldest messages beyond this many leave the log. */
const maxShown = 500;

/** ChatPanel shows one call's messages and sends what is written. */
export class ChatPanel {
  #panel = byId('chat', HTMLElement);
  #log = byId('chat-log', HTMLElement);
  #input = byId('chat-input', HTMLTextAreaElement);
  #toggle = byId('chat-toggle', HTMLButtonElement);
  #unread = 0;

  /**
   * @param {(text: string) => void} send
   * @param {AbortSignal} signal  ends the call
   */
  constructor(send, signal) {
    this.#log.replaceChildren();
    this.#input.value = '';
    this.open(false);
    this.#toggle.addEventListener('click', () => this.open(!this.isOpen), { signal });
    byId('chat-close', HTMLButtonElement).addEventListener('click', () => this.open(false), { signal });
    byId('chat-form', HTMLFormElement).addEventListener(
      'submit',
      (event) => {
        event.preventDefault();
        if (this.#input.value.trim() !== '') send(this.#input.value);
        this.#input.value = '';
        this.#input.focus();
      },
      { signal },
    );
    this.#input.addEventListener(
      'keydown',
      (event) => {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        byId('chat-form', HTMLFormElement).requestSubmit();
      },
      { signal },
    );
    this.#panel.addEventListener('keydown', (event) => event.key === 'Escape' && this.open(false), { signal });
    onLanguage(() => this.#render(), signal);
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** @param {boolean} open */
  open(open) {
    const was = this.isOpen;
    this.#panel.hidden = !open;
    if (open) {
      this.#unread = 0;
      this.#log.scrollTop = this.#log.scrollHeight;
      this.#input.focus();
    } else if (was) {
      this.#toggle.focus();
    }
    this.#render();
  }

  /** @param {ChatMessage & {member: Member | null, sent: boolean}} message  member null: you */
  add({ id, text, at, member, sent }) {
    const name = member ? member.name || t('call.someone.short') : t('call.you');
    const time = new Date(at).toLocaleTimeString(language(), { hour: '2-digit', minute: '2-digit' });
    const small = h('small', { class: 'num' }, `${name} · ${time}`);
    const pending = sent ? [] : [h('small', { class: 'pending' }, t('chat.pending'))];
    this.#log.append(
      h('div', { class: member ? 'msg' : 'msg you', 'data-id': id }, h('span', { class: 'text' }, text), small, ...pending),
    );
    if (this.#log.childElementCount > maxShown) this.#log.firstElementChild?.remove();
    this.#log.scrollTop = this.#log.scrollHeight;
    if (!member) return;
    say(t('say.chat', { name, text }));
    if (!this.isOpen) this.#unread++;
    this.#render();
  }

  /** @param {string} id  of a message that waited and has left now */
  sent(id) {
    this.#log.querySelector(`[data-id="${CSS.escape(id)}"] .pending`)?.remove();
  }

  #render() {
    const badge = byId('unread', HTMLElement);
    badge.hidden = this.#unread === 0;
    setText(badge, this.#unread > 99 ? '99+' : String(this.#unread));
    const label = this.#unread > 0 ? t('control.chat.unread', { count: this.#unread }) : t('control.chat');
    this.#toggle.setAttribute('aria-label', label);
    this.#toggle.title = label;
    this.#toggle.setAttribute('aria-expanded', String(this.isOpen));
  }
}
