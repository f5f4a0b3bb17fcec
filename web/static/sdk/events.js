// Typed events on the platform's EventTarget.

/**
 * DuetEvent carries a value. CustomEvent would do, but Node 18 has none.
 *
 * @template T
 */
export class DuetEvent extends Event {
  /** @param {string} type @param {T} detail */
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

/**
 * Emitter has the listener methods of an EventTarget; a type names its events and
 * their details: `@extends {Emitter<{left: {reason: string}}>}`.
 *
 * @template {Record<string, unknown>} Events
 */
export class Emitter {
  #target = new EventTarget();

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {(event: DuetEvent<Events[K]>) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    this.#target.addEventListener(type, /** @type {EventListener} */ (/** @type {unknown} */ (listener)), options);
  }

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {(event: DuetEvent<Events[K]>) => void} listener
   */
  removeEventListener(type, listener) {
    this.#target.removeEventListener(type, /** @type {EventListener} */ (/** @type {unknown} */ (listener)));
  }

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Events[K]} detail
   */
  emit(type, detail) {
    this.#target.dispatchEvent(new DuetEvent(type, detail));
  }
}
