/** Scans one after the other, and the answer that stands on the screen. */
import { type Bridge, newNonce } from './bridge';
import type { GrayFrame, Place, ScanSource, Settings, Verdict } from './contract';
import { type Tone, toneOf } from './present';
import type { Sounds } from './sound';

/** Answers that are kept in sight after they have gone. */
const RECENT = 6;
/** The core waits up to five seconds for its database; whoever is silent longer will not answer. */
const PATIENCE_MS = 8000;
/** Answers come sooner, but for a slow disk. */
const SLOW_MS = 150;

/** A verdict as it is shown. */
export interface Shown {
  id: number;
  verdict: Verdict;
  tone: Tone;
  /** It goes by itself after so long; 0 = it stays. */
  stayMs: number;
}

export class Scanning {
  /** On the screen now. */
  current: Shown | null = $state.raw(null);
  held = $state(false);
  recent: Shown[] = $state.raw([]);
  /** A code waits for its answer, and longer than usual: a word that comes and goes with every scan would say nothing. */
  checking = $state(false);

  readonly #bridge: Bridge;
  readonly #sounds: Sounds;
  readonly #settings: () => Settings;
  #line: Promise<void> = Promise.resolve();
  /** Codes that wait for their answer. */
  #pending = 0;
  #slow = 0;
  #timer = 0;
  #id = 0;

  constructor(bridge: Bridge, sounds: Sounds, settings: () => Settings) {
    this.#bridge = bridge;
    this.#sounds = sounds;
    this.#settings = settings;
  }

  /** In order, one at a time: the answer to the first is there before the second is asked. */
  scan(text: string, source: ScanSource): Promise<void> {
    return this.#inLine(async () => {
      const nonce = newNonce();
      this.show(await this.#patiently(() => this.#bridge.call('scan_text', { text, nonce, source })));
    });
  }

  /** True if there was a code in it. Not in line: a reader's code must not wait for a picture without any. */
  async look(frame: GrayFrame): Promise<boolean> {
    try {
      const answer = await this.#bridge.call('scan_frame', frame);
      if (answer.found === 'scan') this.show(answer.verdict);
      return answer.found !== 'nothing';
    } catch (error) {
      console.error('a picture got no answer', error);
      // The next frame of a camera comes anyway; a file that somebody chose deserves an answer.
      if (frame.source === 'image') this.show(unanswered());
      return true;
    }
  }

  /** A supervisor admits against the verdict. */
  async override(place: Place, reason: string): Promise<void> {
    this.show(await this.#bridge.call('override_scan', { place, reason, nonce: newNonce() }));
  }

  show(verdict: Verdict): void {
    const tone = toneOf(verdict);
    const shown = { id: ++this.#id, verdict, tone, stayMs: this.#stay(tone) };
    this.current = shown;
    this.held = false;
    this.recent = [shown, ...this.recent].slice(0, RECENT);
    this.#sounds.play(tone);
    this.#leaveAfter(shown.stayMs);
    void this.#tellPainted(shown);
  }

  /** Shows an earlier answer again, silently, until somebody takes it away. */
  reopen(shown: Shown): void {
    this.current = { ...shown, stayMs: 0 };
    this.held = true;
    this.#leaveAfter(0);
  }

  hold(): void {
    this.held = true;
    this.#leaveAfter(0);
  }

  dismiss(): void {
    this.current = null;
    this.held = false;
    this.#leaveAfter(0);
  }

  #stay(tone: Tone): number {
    const settings = this.#settings();
    switch (tone) {
      case 'ok':
        return settings.ok_ms;
      case 'attention':
        return settings.attention_ms;
      case 'used':
      case 'refused':
        return settings.hold_refusals ? 0 : settings.refused_ms;
    }
  }

  #leaveAfter(ms: number): void {
    clearTimeout(this.#timer);
    if (ms > 0) this.#timer = window.setTimeout(() => this.dismiss(), ms);
  }

  #inLine(work: () => Promise<void>): Promise<void> {
    if (this.#pending++ === 0) this.#slow = window.setTimeout(() => (this.checking = true), SLOW_MS);
    const done = this.#line.then(work).catch((error: unknown) => {
      console.error('a scan got no answer', error);
      this.show(unanswered());
    });
    this.#line = done.then(() => {
      if (--this.#pending > 0) return;
      clearTimeout(this.#slow);
      this.checking = false;
    });
    return this.#line;
  }

  async #patiently(ask: () => Promise<Verdict>): Promise<Verdict> {
    let timer = 0;
    const silence = new Promise<never>((_, fail) => {
      timer = window.setTimeout(() => fail(new Error(`no answer for ${PATIENCE_MS} ms`)), PATIENCE_MS);
    });
    try {
      return await Promise.race([ask(), silence]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Only what was painted in a visible window, and not replaced before, counts as shown. */
  async #tellPainted(shown: Shown): Promise<void> {
    const { log_no, seq } = shown.verdict.answer;
    if (log_no === null || seq === null) return;
    await twoFrames();
    if (document.visibilityState === 'hidden' || this.current?.id !== shown.id) return;
    try {
      await this.#bridge.call('scan_shown', { log_no, seq });
    } catch (error) {
      // Harmless: at worst the answer is given once more after a crash.
      console.warn('what was shown could not be saved', error);
    }
  }
}

function twoFrames(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())));
}

/** The app itself did not answer: red, for nobody knows whether it is recorded. */
export function unanswered(): Verdict {
  return {
    answer: {
      code_sha256: '',
      outcome: 'cannot_record',
      flags: [],
      kind: 'refuse',
      ticket_id: null,
      ticket_type: null,
      list: '',
      scanned_at: new Date().toISOString(),
      log_no: null,
      seq: null,
      first_admission: null,
      explanation: 'The app did not answer.',
    },
    reason: { kind: 'cannot_record' },
    ticket_type_name: null,
    attention: null,
    guest: null,
    manifest_age_secs: null,
    uncertainty_ms: 0,
  };
}
