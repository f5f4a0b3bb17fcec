// What a call tells the page that it is embedded in, whether as an element or in a frame.

/**
 * @import { Call } from '../sdk/duet.js'
 *
 * @typedef {{
 *   joined: {room: string},
 *   member: {event: string, id: string, name: string},
 *   left: {reason: string},
 *   error: {code: string, message: string},
 * }} Reports
 *   left: reason is "left", or the code of the error that put us out. member: event is as in MemberEvent.
 */

/**
 * report follows a call until its end. What ends a call that had not begun is an error alone.
 *
 * @param {Call} call
 * @param {string} room
 * @param {<K extends keyof Reports>(type: K, detail: Reports[K]) => void} tell
 */
export function report(call, room, tell) {
  let inside = false;
  const enter = () => {
    if (inside || !['waiting', 'connecting', 'connected'].includes(call.state)) return;
    inside = true;
    tell('joined', { room });
    for (const { id, name } of call.members) tell('member', { event: 'present', id, name });
  };
  call.addEventListener('state', enter);
  call.addEventListener('member', ({ detail: { event, member } }) => tell('member', { event, id: member.id, name: member.name }));
  call.addEventListener('refused', ({ detail }) => tell('error', detail));
  call.addEventListener('ended', ({ detail: { error } }) => {
    if (error) tell('error', { code: error.code, message: error.message });
    if (inside) tell('left', { reason: error?.code ?? 'left' });
  });
}
