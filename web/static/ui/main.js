// The page begins here. Home and call are two views of one document, so that the
// camera goes from the one to the other without being asked for twice.

import { runCall } from './call.js';
import { byId } from './dom.js';
import { startHome } from './home.js';
import { startLanguage, t } from './i18n.js';
import { Media } from './media.js';
import { fragmentOf, roomOfFragment } from './room.js';
import { recallSeat } from './seat.js';
import { Speaker } from './speaker.js';
import { tokenFor } from './token.js';

/** @import { Entry } from './call.js' */

startLanguage();
const query = new URLSearchParams(location.search);
// For operators: ?policy=relay shows whether the relay alone carries a call.
const policy = query.get('policy') === 'relay' ? 'relay' : 'all';
const embedded = query.get('embed') === '1';
const frame = embedded ? await import('./frame.js') : null;
const media = new Media();
const speaker = new Speaker();
const home = startHome({ media, speaker, relayOnly: policy === 'relay', enter: (entry) => void enter(entry) });
home.show();
const follow = frame?.startFrame(query);
const seat = recallSeat(roomOfFragment(location.hash));
if (seat) home.comeBack(seat); // reloaded in the middle of a call
else if (embedded && query.get('join') === '1') byId('join', HTMLButtonElement).click();
else void media.granted().then((granted) => (granted ? media.open() : undefined)); // not awaited: the page is there before its picture

/** @param {Entry} entry */
async function enter(entry) {
  const leave = new AbortController();
  const { signal } = leave;
  const reload = new AbortController();
  const fragment = fragmentOf(entry.room, entry.key);
  if (location.hash !== fragment) history.pushState(null, '', location.pathname + location.search + fragment);
  let navigated = false;
  // Back, or another link in the address bar, leaves the call.
  addEventListener(
    'popstate',
    () => {
      navigated = true;
      leave.abort();
    },
    { signal },
  );
  // Closed, or reloaded: who knows. A page that comes out of the browser's memory is loaded anew.
  addEventListener('pagehide', () => reload.abort(), { signal });
  addEventListener('pageshow', ({ persisted }) => persisted && location.reload(), { signal });
  home.hide();
  await runCall({ ...entry, token: tokenFor(entry.room), media, speaker, policy, follow, signal, reloaded: reload.signal });
  leave.abort();
  media.stop();
  if (!navigated && !embedded) history.replaceState(null, '', location.pathname + location.search);
  home.show(t('home.left'));
}
