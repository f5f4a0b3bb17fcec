// Files in a call: dropped, pasted or picked here, offered and taken there, a row of the chat for each.

import { isOver } from '../sdk/files.js';
import { byId, h, setText } from './dom.js';
import { bytesText, leftText, Speed } from './file-words.js';
import { t } from './i18n.js';
import { say, toast } from './live.js';
import { forgetOldFiles, memoryBytes, openSink } from './sink.js';

/**
 * @import { Call } from '../sdk/duet.js'
 * @import { Files, Transfer } from '../sdk/files.js'
 * @import { ChatPanel } from './chat-panel.js'
 * @import { Key } from './i18n.js'
 *
 * @typedef {{transfer: Transfer, box: HTMLElement, speed: Speed, render: () => void}} Row
 */

/** Bytes come many times a second; people read less often. */
const renderEveryMs = 250;

/**
 * startFiles wires the button, dropping and pasting, until the signal aborts.
 *
 * @param {Call} call
 * @param {ChatPanel} chat
 * @param {AbortSignal} signal
 */
export async function startFiles(call, chat, signal) {
  const files = await call.files();
  if (signal.aborted) return;
  void forgetOldFiles();
  /** @type {Map<string, Row>} */
  const rows = new Map();
  const pick = byId('file-pick', HTMLInputElement);
  const view = byId('call', HTMLElement);
  const owned = { signal };

  const send = (/** @type {Iterable<File>} */ chosen) => {
    const members = call.members;
    if (members.length === 0) return toast(t('file.nobody'));
    for (const file of chosen) {
      for (const { id } of members) if (!files.send(id, file, file.name, file.type)) return toast(t('file.many'));
    }
    chat.open(true);
  };
  const show = (/** @type {Transfer} */ transfer) => {
    let row = rows.get(transfer.id);
    if (!row) {
      rows.set(transfer.id, (row = rowOf(transfer, call, files, signal)));
      const said = transfer.incoming ? t('say.file', { name: nameOf(call, transfer), file: transfer.name, size: bytesText(transfer.size) }) : '';
      chat.show(row.box, row.render, said);
      if (said) toast(said);
    }
    row.render();
  };
  const changed = (/** @type {Transfer} */ transfer) => {
    const { dataset } = rows.get(transfer.id)?.box ?? {};
    const now = performance.now();
    if (dataset?.state === transfer.state && dataset.paused === String(transfer.paused) && now - Number(dataset.at) < renderEveryMs) return;
    show(transfer);
    Object.assign(rows.get(transfer.id)?.box.dataset ?? {}, { at: now, paused: transfer.paused });
  };

  byId('file-open', HTMLButtonElement).addEventListener('click', () => pick.click(), owned);
  pick.addEventListener(
    'change',
    () => {
      send(pick.files ?? []);
      pick.value = ''; // the same file may be chosen again
    },
    owned,
  );
  document.addEventListener('paste', ({ clipboardData }) => clipboardData && clipboardData.files.length > 0 && send(clipboardData.files), owned);
  const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') === true;
  view.addEventListener(
    'dragover',
    (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      view.classList.add('dropping');
    },
    owned,
  );
  view.addEventListener('dragleave', ({ relatedTarget }) => !view.contains(/** @type {Node | null} */ (relatedTarget)) && view.classList.remove('dropping'), owned);
  view.addEventListener(
    'drop',
    (event) => {
      view.classList.remove('dropping');
      if (!carriesFiles(event)) return;
      event.preventDefault();
      send(event.dataTransfer?.files ?? []);
    },
    owned,
  );
  files.addEventListener('offer', ({ detail }) => show(detail), owned);
  files.addEventListener('change', ({ detail }) => changed(detail), owned);
  const timer = setInterval(() => {
    for (const { transfer, render } of rows.values()) if (!isOver(transfer)) render();
  }, 1000);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    view.classList.remove('dropping');
  });
}

/**
 * @param {Call} call
 * @param {Transfer} transfer
 */
const nameOf = (call, { member }) => call.members.find(({ id }) => id === member)?.name || t('call.someone.short');

/**
 * @param {Transfer} transfer
 * @param {Call} call
 * @param {Files} files
 * @param {AbortSignal} signal
 * @returns {Row}
 */
function rowOf(transfer, call, files, signal) {
  const { id, name, size, incoming } = transfer;
  const who = nameOf(call, transfer);
  const speed = new Speed();
  const bar = h('progress', { max: Math.max(size, 1), value: 0, 'aria-label': name });
  const fact = h('small', { class: 'num fact-line' });
  const saved = h('a', { class: 'button wide', hidden: true, download: name });
  const button = (/** @type {string} */ kind, /** @type {() => void} */ act) => {
    const made = h('button', { type: 'button', class: kind });
    made.addEventListener('click', act, { signal });
    return made;
  };
  const take = async () => {
    buttons.accept.disabled = true;
    const sink = await openSink(transfer, (url) => {
      saved.href = url;
      saved.hidden = false;
      saved.click();
      signal.addEventListener('abort', () => URL.revokeObjectURL(url));
    });
    buttons.accept.disabled = false;
    if (sink) files.accept(id, sink);
    else if (size > memoryBytes) toast(t('file.toolarge', { size: bytesText(memoryBytes) }));
  };
  const buttons = {
    accept: button('primary accept', () => void take()),
    refuse: button('refuse', () => files.refuse(id)),
    pause: button('pause', () => files.pause(id, !transfer.paused)),
    cancel: button('cancel', () => files.cancel(id)),
  };
  const actions = h('div', { class: 'row' }, ...Object.values(buttons));
  const box = h('div', { class: incoming ? 'msg file' : 'msg you file', 'data-id': id }, h('b', { class: 'text', dir: 'auto' }, name), bar, fact, actions, saved);
  let said = '';
  const render = () => {
    const { state, moved, paused } = transfer;
    const over = isOver(transfer);
    speed.note(moved);
    box.dataset.state = state;
    bar.value = state === 'done' ? bar.max : moved;
    bar.hidden = over || state === 'offered';
    buttons.accept.hidden = buttons.refuse.hidden = !(incoming && state === 'offered');
    buttons.pause.hidden = !(state === 'running' || state === 'waiting');
    buttons.cancel.hidden = over || (incoming && state === 'offered');
    setText(buttons.accept, t('file.accept'));
    setText(buttons.refuse, t('file.refuse'));
    setText(buttons.pause, t(paused ? 'file.resume' : 'file.pause'));
    setText(buttons.cancel, t('file.cancel'));
    setText(saved, t('file.save'));
    const values = { name: who, size: bytesText(size), moved: bytesText(moved), percent: size > 0 ? Math.floor((moved / size) * 100) : 100 };
    const going = state === 'running' && !paused;
    setText(fact, going ? [t('file.running', values), ...leftText(speed.perSecond, size - moved)].join(' · ') : t(wordsOf(transfer), values));
    actions.hidden = [...actions.children].every((child) => /** @type {HTMLElement} */ (child).hidden);
    if (over && said !== state) say(`${name}: ${fact.textContent}`);
    said = state;
  };
  return { transfer, box, speed, render };
}

/**
 * @param {Transfer} transfer
 * @returns {Key}
 */
function wordsOf({ state, incoming, paused, reason }) {
  if (state === 'failed') return `file.failed.${reason || 'protocol'}`;
  if (state === 'offered') return incoming ? 'file.offered' : 'file.asked';
  if (state === 'done') return incoming ? 'file.received' : 'file.sent';
  return paused && state === 'running' ? 'file.paused' : `file.${state}`;
}
