// The start page: name, devices, a new call or an invitation.

import { byId, setText } from './dom.js';
import { onLanguage, t } from './i18n.js';
import { startNotice } from './notice.js';
import { startPreview } from './preview.js';
import { recall, remember } from './remembered.js';
import { keyOfFragment, keyOfInput, newRoomName, roomOfFragment, roomOfInput, roomProblem, tokenOfInput } from './room.js';
import { holdToken, takeToken } from './token.js';

/**
 * @import { Entry } from './call.js'
 * @import { Media } from './media.js'
 * @import { Seat } from './seat.js'
 * @import { Speaker } from './speaker.js'
 *
 * @typedef {{show: (said?: string) => void, hide: () => void, comeBack: (seat: Seat) => void}} Home
 *   comeBack takes a seat again without asking.
 */

/**
 * startHome wires the page. enter is called with the devices open, or given up.
 *
 * @param {{media: Media, speaker: Speaker, relayOnly: boolean, enter: (entry: Entry) => void}} options
 * @returns {Home}
 */
export function startHome({ media, speaker, relayOnly, enter }) {
  const view = byId('home', HTMLElement);
  const name = byId('name', HTMLInputElement);
  const room = byId('room', HTMLInputElement);
  const newKey = byId('new-key', HTMLInputElement);
  const problem = byId('room-problem', HTMLElement);
  const said = byId('home-said', HTMLElement);
  /** @type {Entry | null} Where the person was going when the devices failed. */
  let heading = null;
  let invited = '';

  name.value = recall('name');
  byId('home-relay', HTMLElement).hidden = !relayOnly;
  startPreview(media, speaker);
  const skippable = startNotice(media, {
    retry: () => (heading ? void go(heading) : void media.open()),
    skip: () => heading !== null && leaveFor(heading),
  });

  /** The words that depend on the invitation, the devices and the language. */
  const render = () => {
    const isInvited = invited !== '';
    view.classList.toggle('is-invited', isInvited);
    byId('invited', HTMLElement).hidden = !isInvited;
    setText(byId('invited-room', HTMLElement), t('home.invited.room', { room: invited }));
    setText(byId('home-headline', HTMLElement), t(isInvited ? 'home.invited.headline' : 'home.headline'));
    setText(byId('home-lead', HTMLElement), t(isInvited ? 'home.invited.lead' : 'home.lead'));
    if (!view.hidden) document.title = t('home.title');
  };

  /**
   * entryTo is where a room and its key lead. Who brings a key with the link may be the first
   * there: then the room gets that key.
   *
   * @param {string} to
   * @param {string} key
   * @returns {Entry}
   */
  const entryTo = (to, key) => ({ room: to, key, create: key !== '', name: name.value.trim() });

  /** @param {Entry} to */
  const go = async (to) => {
    const wrong = roomProblem(to.room);
    problem.hidden = wrong === null;
    room.toggleAttribute('aria-invalid', wrong !== null);
    if (wrong) {
      setText(problem, t(wrong));
      return room.focus();
    }
    if (document.body.dataset.state === 'permission') return; // a second click
    heading = to;
    document.body.dataset.state = 'permission';
    await media.open();
    document.body.dataset.state = 'home';
    if (stops(media)) {
      skippable(true);
      return byId('media-notice', HTMLElement).scrollIntoView({ block: 'nearest' });
    }
    leaveFor(to);
  };

  /** @param {Entry} to */
  const leaveFor = (to) => {
    heading = null;
    newKey.value = '';
    remember('name', to.name);
    enter(to);
  };

  const readFragment = () => {
    takeToken();
    invited = roomOfFragment(location.hash);
    if (invited) room.value = invited;
    problem.hidden = true;
    render();
  };

  byId('home-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    holdToken(roomOfInput(room.value), tokenOfInput(room.value));
    const key = invited ? keyOfFragment(location.hash) : keyOfInput(room.value);
    void go(entryTo(roomOfInput(room.value), key));
  });
  byId('start', HTMLButtonElement).addEventListener('click', () => void go(entryTo(newRoomName(), newKey.value.trim())));
  for (const id of ['start', 'join']) byId(id, HTMLButtonElement).disabled = false; // pressed earlier they would do nothing
  byId('instead', HTMLButtonElement).addEventListener('click', () => {
    history.replaceState(null, '', location.pathname + location.search);
    room.value = '';
    readFragment();
    byId('start', HTMLButtonElement).focus();
  });
  byId('skip', HTMLButtonElement).addEventListener('click', () => byId('home-main', HTMLElement).focus());
  // Enter in the key's field starts the call that the key is for.
  newKey.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault();
    byId('start', HTMLButtonElement).click();
  });
  room.addEventListener('input', () => (problem.hidden = true));
  // The name field is in the form: Enter there starts what the page is for.
  name.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing || invited || room.value.trim()) return;
    event.preventDefault();
    byId('start', HTMLButtonElement).click();
  });
  addEventListener('hashchange', () => !view.hidden && readFragment());
  onLanguage(render);

  return {
    show(text = '') {
      view.hidden = false;
      heading = null;
      skippable(false);
      document.body.dataset.state = 'home';
      said.hidden = text === '';
      setText(said, text);
      readFragment();
    },
    hide() {
      view.hidden = true;
    },
    comeBack({ room: to, key, name: called, session, on }) {
      name.value = called;
      void media.setMic(on.mic);
      void media.setCamera(on.camera);
      void go({ room: to, key, create: key !== '', name: called, previous: session });
    },
  };
}

/**
 * stops tells whether to ask before going on: nothing that is wanted works, and something can be done about it.
 *
 * @param {Media} media
 */
function stops({ problem, wanted, on }) {
  return problem !== null && problem.reason !== 'insecure' && (wanted.mic || wanted.camera) && !on.mic && !on.camera;
}
