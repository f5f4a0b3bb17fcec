// What this browser remembers between visits; nothing where storage is forbidden.

/** @typedef {'name' | 'camera' | 'microphone' | 'speaker' | 'corner'} Remembered */

/** @param {Remembered} what */
export function recall(what) {
  try {
    return localStorage.getItem(`duet.${what}`) ?? '';
  } catch {
    return '';
  }
}

/**
 * @param {Remembered} what
 * @param {string} value
 */
export function remember(what, value) {
  try {
    localStorage.setItem(`duet.${what}`, value);
  } catch {
    // Forgotten with the page, then.
  }
}
