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
 * Emitter is an EventTarget whose events and their details are named by a type:
 * `@extends {Emitter<{left: {reason: string}}>}`.
 *
 * @template {Record<string, unknown>} Events
 */
export class Emitter extends EventTarget {
  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {(event: DuetEvent<Events[K]>) => void} listener
   * @param {AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (/** @type {unknown} */ (listener)), options);
  }

  /**
   * @template {keyof Events & string} K
   * @param {K} type
   * @param {Events[K]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new DuetEvent(type, detail));
  }
}
