// The chat beside the picture: text only, gone with the call.

import { byId, h, setText } from './dom.js';
import { language, onLanguage, t } from './i18n.js';
import { partsOf } from './links.js';
import { say, toast } from './live.js';

/**
 * @import { ChatMessage } from '../sdk/chat.js'
 * @import { Member } from '../sdk/message.js'
 */

/** The oldest messages beyond this many leave the log. */
const maxShown = 500;
/** So long a message may be unheard before the page says so. */
const unheardMs = 2_000;
/** Who writes goes on writing, or has gone. */
const typingMs = 6_000;

/** ChatPanel shows one call's messages and sends what is written. */
export class ChatPanel {
  #panel = byId('chat', HTMLElement);
  #log = byId('chat-log', HTMLElement);
  #input = byId('chat-input', HTMLTextAreaElement);
  #toggle = byId('chat-toggle', HTMLButtonElement);
  #unread = 0;
  /** @type {(() => void)[]} Writes a message's words in the language of the page, for each that is shown. */
  #words = [];
  /** @type {Map<string, ReturnType<typeof setTimeout>>} By id: what says that a message waits. */
  #unheard = new Map();
  /** @type {Map<string, {name: string, timer: ReturnType<typeof setTimeout>}>} Who writes, by member id. */
  #writers = new Map();

  /**
   * @param {{send: (text: string) => boolean, setTyping: (typing: boolean) => void}} call
   * @param {AbortSignal} signal  ends the call
   */
  constructor(call, signal) {
    this.#log.replaceChildren();
    this.#input.value = '';
    this.open(false);
    this.#toggle.addEventListener('click', () => this.open(!this.isOpen), { signal });
    byId('chat-close', HTMLButtonElement).addEventListener('click', () => this.open(false), { signal });
    byId('chat-form', HTMLFormElement).addEventListener(
      'submit',
      (event) => {
        event.preventDefault();
        if (this.#input.value.trim() === '' || call.send(this.#input.value)) this.#input.value = '';
        else toast(t('chat.full')); // what was written stays
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
    this.#tellTyping(call.setTyping, signal);
    this.#panel.addEventListener('keydown', (event) => event.key === 'Escape' && this.open(false), { signal });
    onLanguage(() => {
      for (const write of this.#words) write();
      this.#render();
    }, signal);
    signal.addEventListener('abort', () => {
      for (const timer of this.#unheard.values()) clearTimeout(timer);
      for (const { timer } of this.#writers.values()) clearTimeout(timer);
    });
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

  /**
   * @param {ChatMessage & {member: Member | null}} message  member null: you
   * @param {boolean} [alone]  nobody is there to hear it
   */
  add({ id, text, at, member }, alone = false) {
    const who = () => (member ? member.name || t('call.someone.short') : t('call.you'));
    const by = h('span');
    const copy = h('button', { type: 'button', class: 'quiet copy' });
    copy.addEventListener('click', () => void this.#copy(text));
    const words = h('span', { class: 'text', dir: 'auto' });
    for (const part of partsOf(text)) {
      words.append(part.href ? h('a', { href: part.href, target: '_blank', rel: 'noopener noreferrer' }, part.text) : part.text);
    }
    const box = h('div', { class: member ? 'msg' : 'msg you', 'data-id': id }, words, h('small', { class: 'num' }, by, copy));
    const write = () => {
      setText(by, `${who()} · ${new Date(at).toLocaleTimeString(language(), { hour: '2-digit', minute: '2-digit' })}`);
      setText(copy, t('chat.copy'));
      const pending = box.querySelector('.pending');
      if (pending) setText(pending, t('chat.pending'));
    };
    this.show(box, write, member ? t('say.chat', { name: who(), text }) : '');
    if (!member) {
      const tell = () => {
        box.append(h('small', { class: 'pending' }, t('chat.pending')));
        this.#log.scrollTop = this.#log.scrollHeight;
      };
      this.#unheard.set(id, setTimeout(tell, alone ? 0 : unheardMs));
    }
    if (member) this.typing(member, false);
  }

  /**
   * show adds a row to the log.
   *
   * @param {HTMLElement} box
   * @param {() => void} write  puts its words into it, in the language of the page
   * @param {string} said  to those who do not see it; "" for what is your own
   */
  show(box, write, said) {
    write();
    this.#words.push(write);
    this.#log.append(box);
    if (this.#words.length > maxShown) {
      this.#words.shift();
      this.#log.firstElementChild?.remove();
    }
    this.#log.scrollTop = this.#log.scrollHeight;
    if (said === '') return;
    say(said);
    if (!this.isOpen) this.#unread++;
    this.#render();
  }

  /** @param {string} id  of a message that somebody has heard */
  sent(id) {
    clearTimeout(this.#unheard.get(id));
    this.#unheard.delete(id);
    this.#log.querySelector(`[data-id="${CSS.escape(id)}"] .pending`)?.remove();
  }

  /**
   * @param {Pick<Member, 'id' | 'name'>} member
   * @param {boolean} typing
   */
  typing({ id, name }, typing) {
    clearTimeout(this.#writers.get(id)?.timer);
    if (typing) this.#writers.set(id, { name: name || t('call.someone.short'), timer: setTimeout(() => this.typing({ id, name }, false), typingMs) });
    else this.#writers.delete(id);
    this.#render();
  }

  /**
   * Tells that something is written while keys are pressed, and again if it goes on.
   *
   * @param {(typing: boolean) => void} tell
   * @param {AbortSignal} signal
   */
  #tellTyping(tell, signal) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.#input.addEventListener(
      'input',
      () => {
        clearTimeout(timer);
        const typing = this.#input.value.trim() !== '';
        tell(typing);
        if (typing) timer = setTimeout(() => tell(false), typingMs / 2);
      },
      { signal },
    );
    signal.addEventListener('abort', () => clearTimeout(timer));
  }

  /** @param {string} text */
  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      toast(t('chat.copied'));
    } catch {
      toast(t('chat.copy.failed'));
    }
  }

  #render() {
    const badge = byId('unread', HTMLElement);
    badge.hidden = this.#unread === 0;
    setText(badge, this.#unread > 99 ? '99+' : String(this.#unread));
    const label = this.#unread > 0 ? t('control.chat.unread', { count: this.#unread }) : t('control.chat');
    this.#toggle.setAttribute('aria-label', label);
    this.#toggle.title = label;
    this.#toggle.setAttribute('aria-expanded', String(this.isOpen));
    const names = [...this.#writers.values()].map(({ name }) => name);
    setText(byId('chat-typing', HTMLElement), names.length > 0 ? t('chat.typing', { name: names.join(', ') }) : '');
  }
}
