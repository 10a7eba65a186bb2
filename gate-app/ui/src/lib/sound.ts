import type { Tone } from './present';

/** One note of a signal. */
export interface Note {
  /** Hertz. */
  frequency: number;
  /** Seconds after the signal's beginning. */
  at: number;
  /** Seconds. */
  length: number;
  wave: OscillatorType;
}

/**
 * Four signals that differ in number of notes, direction, pitch and wave, so that they are told apart in a loud room,
 * by people who hear high notes badly, and without looking.
 */
export const SIGNALS: Record<Tone, readonly Note[]> = {
  // Two short notes upwards.
  ok: [
    { frequency: 880, at: 0, length: 0.09, wave: 'sine' },
    { frequency: 1320, at: 0.1, length: 0.16, wave: 'sine' },
  ],
  // Three equal beeps.
  attention: [
    { frequency: 740, at: 0, length: 0.1, wave: 'triangle' },
    { frequency: 740, at: 0.16, length: 0.1, wave: 'triangle' },
    { frequency: 740, at: 0.32, length: 0.1, wave: 'triangle' },
  ],
  // Four notes to and fro.
  used: [
    { frequency: 660, at: 0, length: 0.14, wave: 'square' },
    { frequency: 440, at: 0.16, length: 0.14, wave: 'square' },
    { frequency: 660, at: 0.32, length: 0.14, wave: 'square' },
    { frequency: 440, at: 0.48, length: 0.2, wave: 'square' },
  ],
  // One long low buzz.
  refused: [{ frequency: 150, at: 0, length: 0.7, wave: 'sawtooth' }],
};

/** Milliseconds after which a sound belongs to no picture any more. */
const LATE = 300;
/** Milliseconds after which an audio clock that has not moved does not go. */
const STUCK = 1000;
/** The first one may take longer: the device has to wake up. */
const LATE_AT_FIRST = 1000;
/** Milliseconds between two tries with a new context. */
const RENEWED = 10_000;

/** Made on the machine: no files, nothing to load. */
export class Sounds {
  #context: AudioContext | null = null;
  #asked = 0;
  /** The moment of the audio clock that was seen last, and since when. */
  #last: { time: number; at: number } | null = null;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** 0 to 1. */
  volume = 0.8;

  /** Browsers stay silent until somebody has touched the page; later touches wake what slept. */
  wake(): void {
    this.#context ??= typeof AudioContext === 'undefined' ? null : new AudioContext();
    const context = this.#context;
    if (context && context.state !== 'running' && context.state !== 'closed') context.resume().catch(() => undefined);
  }

  play(tone: Tone): void {
    if (this.volume <= 0) return;
    this.wake();
    const context = this.#context;
    if (!context) return;
    const asked = ++this.#asked;
    if (context.state === 'running') {
      this.#sound(context, tone);
      return;
    }
    // Notes of a clock that stands still would wait there, and all sound at once when it goes: the newest alone may, and
    // only beside its picture.
    const at = performance.now();
    const late = this.#last ? LATE : LATE_AT_FIRST;
    context.resume().then(
      () => asked === this.#asked && performance.now() - at < late && this.#sound(context, tone),
      () => undefined, // no sound on this machine
    );
  }

  #sound(context: AudioContext, tone: Tone): void {
    const start = context.currentTime;
    const now = performance.now();
    // A device that was unplugged leaves a context that says that it runs, at the same moment for ever: perhaps a new one finds
    // another device.
    if (this.#last && start === this.#last.time && now - this.#last.at > STUCK) {
      if (now - this.#renewedAt < RENEWED) return;
      this.#renewedAt = now;
      this.#context = null;
      this.#last = null;
      context.close().catch(() => undefined);
      this.play(tone);
      return;
    }
    if (start !== this.#last?.time) this.#last = { time: start, at: now };
    for (const note of SIGNALS[tone]) {
      const oscillator = context.createOscillator();
      const gain = context.createGain();
      oscillator.type = note.wave;
      oscillator.frequency.value = note.frequency;
      const from = start + note.at;
      const until = from + note.length;
      // Edges of 5 ms: without them a note begins and ends with a crack.
      gain.gain.setValueAtTime(0, from);
      gain.gain.linearRampToValueAtTime(this.volume, from + 0.005);
      gain.gain.setValueAtTime(this.volume, until - 0.005);
      gain.gain.linearRampToValueAtTime(0, until);
      oscillator.connect(gain).connect(context.destination);
      oscillator.onended = () => {
        oscillator.disconnect();
        gain.disconnect();
      };
      oscillator.start(from);
      oscillator.stop(until);
    }
  }
}
