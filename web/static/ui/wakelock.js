// Keeps the screen on during a call, where the browser can.

/** @param {AbortSignal} signal  ends the call */
export function keepAwake(signal) {
  if (!navigator.wakeLock) return;
  /** @type {WakeLockSentinel | null} */
  let lock = null;
  const take = async () => {
    if (document.visibilityState !== 'visible' || signal.aborted) return;
    try {
      lock = await navigator.wakeLock.request('screen');
      if (signal.aborted) await lock.release();
    } catch {
      // A low battery may refuse; the call goes on.
    }
  };
  document.addEventListener('visibilitychange', () => void take(), { signal }); // hiding the page lets go
  signal.addEventListener('abort', () => void lock?.release());
  void take();
}
