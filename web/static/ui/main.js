// The page begins here. Home and call are two views of one document, so that the
// camera goes from the one to the other without being asked for twice.

import { runCall } from './call.js';
import { startHome } from './home.js';
import { startLanguage, t } from './i18n.js';
import { Media } from './media.js';
import { tokenFor } from './token.js';

/** @import { Entry } from './home.js' */

startLanguage();
// For operators: ?policy=relay shows whether the relay alone carries a call.
const policy = new URLSearchParams(location.search).get('policy') === 'relay' ? 'relay' : 'all';
const media = new Media();
const home = startHome({ media, relayOnly: policy === 'relay', enter: (entry) => void enter(entry) });
home.show();
void media.granted().then((granted) => (granted ? media.open() : undefined)); // not awaited: the page is there before its picture

/** @param {Entry} entry */
async function enter({ room, name }) {
  const leave = new AbortController();
  const { signal } = leave;
  const fragment = `#${encodeURIComponent(room)}`;
  if (location.hash !== fragment) history.pushState(null, '', location.pathname + location.search + fragment);
  let navigated = false;
  // Back, or another link in the address bar, leaves the call; so does closing the page.
  addEventListener(
    'popstate',
    () => {
      navigated = true;
      leave.abort();
    },
    { signal },
  );
  addEventListener('pagehide', () => leave.abort(), { signal });
  home.hide();
  await runCall({ room, name, token: tokenFor(room), media, policy, signal });
  leave.abort();
  media.stop();
  if (!navigated) history.replaceState(null, '', location.pathname + location.search);
  home.show(t('home.left'));
}
