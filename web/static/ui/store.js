// What a page shows, in one place: events change it, renderers follow.

/**
 * @template {object} T
 * @typedef {{
 *   get: () => Readonly<T>,
 *   set: (patch: Partial<T>) => void,
 *   follow: (render: (state: Readonly<T>) => void, signal?: AbortSignal) => void,
 * }} Store
 *   set merges and tells the followers where a value differs; follow renders at
 *   once and then on every change.
 */

/**
 * @template {object} T
 * @param {T} initial
 * @returns {Store<T>}
 */
export function createStore(initial) {
  let state = initial;
  /** @type {Set<(state: Readonly<T>) => void>} */
  const followers = new Set();
  return {
    get: () => state,
    set(patch) {
      const keys = /** @type {(keyof T)[]} */ (Object.keys(patch));
      if (keys.every((key) => Object.is(state[key], patch[key]))) return;
      state = { ...state, ...patch };
      for (const render of [...followers]) render(state);
    },
    follow(render, signal) {
      if (signal?.aborted) return;
      followers.add(render);
      signal?.addEventListener('abort', () => followers.delete(render), { once: true });
      render(state);
    },
  };
}
