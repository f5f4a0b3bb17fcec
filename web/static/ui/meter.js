// How loud the microphone is.

/**
 * startMeter sets --level (0 to 1) on an element, until the signal aborts.
 *
 * @param {MediaStreamTrack} track
 * @param {HTMLElement} element
 * @param {AbortSignal} signal
 */
export function startMeter(track, element, signal) {
  if (signal.aborted) return;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let shown = 0;
  let frame = 0;
  const draw = () => {
    analyser.getFloatTimeDomainData(samples);
    const level = track.enabled ? loudness(samples) : 0;
    shown = Math.max(level, shown * 0.88); // falls slower than it rises, so that speech is seen
    element.style.setProperty('--level', shown.toFixed(3));
    frame = requestAnimationFrame(draw);
  };
  draw();
  // Without a gesture the context waits for one.
  const resume = () => void context.resume();
  document.addEventListener('pointerdown', resume, { signal });
  signal.addEventListener('abort', () => {
    cancelAnimationFrame(frame);
    element.style.setProperty('--level', '0');
    void context.close();
  });
}

/**
 * loudness maps the root mean square of samples, -60 to 0 dB, to 0 to 1.
 *
 * @param {ArrayLike<number>} samples
 */
export function loudness(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += (samples[i] ?? 0) ** 2;
  const decibels = 20 * Math.log10(Math.sqrt(sum / samples.length) || 1e-6);
  return Math.min(1, Math.max(0, (decibels + 60) / 60));
}
