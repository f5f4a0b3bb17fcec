// SHA-256 (FIPS 180-4) of bytes that come piece by piece: what browsers offer wants them all at once.

/** The first 32 bits of the fractions of roots of primes: square roots begin the state, cube roots go into each round. */
const roots = (/** @type {number} */ power, /** @type {number} */ count) => {
  const fractions = new Int32Array(count);
  for (let n = 2, found = 0; found < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
    if (!prime) continue;
    const root = n ** power;
    fractions[found++] = (root - Math.floor(root)) * 2 ** 32;
  }
  return fractions;
};
const initial = roots(1 / 2, 8);
const constants = roots(1 / 3, 64);

export class Sha256 {
  #state = initial.slice();
  #words = new Int32Array(64);
  #block = new Uint8Array(64);
  #view = new DataView(this.#block.buffer);
  #filled = 0;
  #length = 0;

  /** @param {Uint8Array} bytes */
  update(bytes) {
    this.#length += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === 0 && bytes.length - at >= 64) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        for (; bytes.length - at >= 64; at += 64) this.#compress(view, at);
        continue;
      }
      const piece = bytes.subarray(at, at + 64 - this.#filled);
      this.#block.set(piece, this.#filled);
      at += piece.length;
      this.#filled = (this.#filled + piece.length) % 64;
      if (this.#filled === 0) this.#compress(this.#view, 0);
    }
  }

  /**
   * digest ends it.
   *
   * @returns {string} in hexadecimal
   */
  digest() {
    const bits = this.#length * 8;
    this.update(new Uint8Array([0x80]));
    this.update(new Uint8Array((120 - this.#filled) % 64));
    this.#view.setUint32(56, Math.floor(bits / 2 ** 32));
    this.#view.setUint32(60, bits >>> 0);
    this.#compress(this.#view, 0);
    return Array.from(this.#state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /**
   * @param {DataView} view
   * @param {number} at
   */
  #compress(view, at) {
    const w = this.#words;
    const s = this.#state;
    const k = constants;
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = word(w, i - 15);
      const y = word(w, i - 2);
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (word(w, i - 16) + s0 + word(w, i - 7) + s1) | 0;
    }
    let a = word(s, 0);
    let b = word(s, 1);
    let c = word(s, 2);
    let d = word(s, 3);
    let e = word(s, 4);
    let f = word(s, 5);
    let g = word(s, 6);
    let h = word(s, 7);
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + s1 + ((e & f) ^ (~e & g)) + word(k, i) + word(w, i)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    s[0] = word(s, 0) + a;
    s[1] = word(s, 1) + b;
    s[2] = word(s, 2) + c;
    s[3] = word(s, 3) + d;
    s[4] = word(s, 4) + e;
    s[5] = word(s, 5) + f;
    s[6] = word(s, 6) + g;
    s[7] = word(s, 7) + h;
  }
}

/**
 * @param {Int32Array} words
 * @param {number} i
 */
const word = (words, i) => /** @type {number} */ (words[i]);
