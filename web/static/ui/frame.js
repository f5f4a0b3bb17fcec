// The call page in a frame of another site, ?embed=1: nothing but the call, and the site is told
// how it goes. [http] frame_ancestors says which sites may; the browser sees to that.

import { report } from '../embed/report.js';
import { byId } from './dom.js';

/** @import { Call } from '../sdk/duet.js' */

/**
 * startFrame dresses the page for a frame.
 *
 * @param {URLSearchParams} query
 * @returns {(call: Call, room: string) => void} to be told of each call
 */
export function startFrame(query) {
  document.body.classList.add('embedded');
  const name = query.get('name');
  if (name) byId('name', HTMLInputElement).value = name;
  const site = parentOrigin();
  return (call, room) =>
    report(call, room, (type, detail) => {
      if (site) parent.postMessage({ source: 'duet', type, detail }, site);
    });
}

/** Who frames this page; "" for nobody. Firefox has no ancestorOrigins. */
function parentOrigin() {
  if (parent === window) return '';
  return location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
}
