// When the network may have changed, as far as a page can know.

/**
 * whenTheNetworkMayHaveChanged calls back when this device is online again, is on another
 * network, or when the page is looked at again, after a sleep for instance.
 *
 * @param {() => void} act
 * @param {AbortSignal} signal
 */
export function whenTheNetworkMayHaveChanged(act, signal) {
  // A worker has no "pageshow", Node.js has none of these. "visibilitychange" bubbles up to here.
  for (const type of ['online', 'pageshow', 'visibilitychange']) globalThis.addEventListener?.(type, act, { signal });
  /** @type {{connection?: EventTarget} | undefined} */ (globalThis.navigator)?.connection?.addEventListener('change', act, { signal });
}
