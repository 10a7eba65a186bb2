/**
 * Readers that act as keyboards. They send the key positions of an American keyboard, whatever layout the system has:
 * under a German or French one `KeyboardEvent.key` says other characters than were meant. So characters are read from
 * `KeyboardEvent.code` and Shift alone; layout, caps lock and dead keys have no say.
 *
 * A reader types faster than people. A run of keys counts as read if its gaps are short and it ends in Enter or Tab;
 * without such an end it counts if it is long and very fast.
 */

/** No code is longer; one character more is kept, so that the core sees that it is too long and says so. */
export const MAX_CODE = 512;

export interface WedgeOptions {
  /** A longer pause begins a new run. Long enough for a busy machine: a run cut in two would be half a code. */
  maxGapMs: number;
  /** The mean gap of a run: above, it was typed by hand. Slow Bluetooth readers take up to 50 ms a key. */
  meanGapMs: number;
  /** Shorter runs are keys of people. */
  minLength: number;
  /** As `maxGapMs`, for a run that is surely a reader's, where readers have sent an Enter: it is still to come. */
  busyGapMs: number;
  /** For readers that send no Enter: so long and so fast is nobody. */
  unendedLength: number;
  unendedMeanMs: number;
  /** The same text again within this time is the same pull of the trigger. Each repeat extends it. */
  doubledMs: number;
}

export const WEDGE_DEFAULTS: WedgeOptions = {
  maxGapMs: 250,
  busyGapMs: 1000,
  meanGapMs: 50,
  minLength: 4,
  unendedLength: 20,
  unendedMeanMs: 30,
  doubledMs: 1000,
};

/** What of a keyboard event matters. */
export interface Key {
  code: string;
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
  repeat: boolean;
  /** Milliseconds, from the event: handlers may run late. */
  timeStamp: number;
}

/**
 * `pass`: a person's key, leave it. `first`: leave it, but a run may begin with it. `part`: of a run, keep it from the
 * page. `end`: a scan was made of the run.
 */
export type Heard = 'pass' | 'first' | 'part' | 'end';

const PLAIN: Record<string, string> = {
  Backquote: '`',
  Minus: '-',
  Equal: '=',
  BracketLeft: '[',
  BracketRight: ']',
  Backslash: '\\',
  Semicolon: ';',
  Quote: "'",
  Comma: ',',
  Period: '.',
  Slash: '/',
  Space: ' ',
  NumpadAdd: '+',
  NumpadSubtract: '-',
  NumpadMultiply: '*',
  NumpadDivide: '/',
  NumpadDecimal: '.',
};
const SHIFTED: Record<string, string> = {
  ...PLAIN,
  Backquote: '~',
  Minus: '_',
  Equal: '+',
  BracketLeft: '{',
  BracketRight: '}',
  Backslash: '|',
  Semicolon: ':',
  Quote: '"',
  Comma: '<',
  Period: '>',
  Slash: '?',
};
const SHIFTED_DIGITS = ')!@#$%^&*(';

/** The character of an American keyboard at a key position; null for keys that write nothing. */
export function characterOf(code: string, shift: boolean): string | null {
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter) return shift ? letter : letter.toLowerCase();
  const digit = /^Digit(\d)$/.exec(code)?.[1];
  if (digit) return shift ? (SHIFTED_DIGITS[Number(digit)] ?? null) : digit;
  const numpad = /^Numpad(\d)$/.exec(code)?.[1];
  if (numpad) return numpad;
  return (shift ? SHIFTED : PLAIN)[code] ?? null;
}

function isEnd(key: Key): boolean {
  const name = key.code || key.key;
  return name === 'Enter' || name === 'NumpadEnter' || name === 'Tab';
}

/** Turns keys into scans. Knows no page: see `listenForReader`. */
export class Wedge {
  #text = '';
  #startedAt = 0;
  #lastAt = Number.NEGATIVE_INFINITY;
  /** Readers here send an Enter. */
  #ends = false;
  #scanned = { text: '', at: Number.NEGATIVE_INFINITY };
  readonly #options: WedgeOptions;
  readonly #scan: (text: string) => void;

  constructor(scan: (text: string) => void, options: Partial<WedgeOptions> = {}) {
    this.#scan = scan;
    this.#options = { ...WEDGE_DEFAULTS, ...options };
  }

  /** How long to wait for a next key before `idle` is to be called. */
  get idleMs(): number {
    const { minLength, meanGapMs, busyGapMs, maxGapMs } = this.#options;
    return this.#ends && this.#isFast(minLength, meanGapMs) ? busyGapMs : maxGapMs;
  }

  /** A key went down. */
  press(key: Key): Heard {
    if (key.ctrlKey || key.altKey || key.metaKey) {
      this.#reset();
      return 'pass';
    }
    const gap = key.timeStamp - this.#lastAt;
    if (gap > this.idleMs) this.#reset();
    if (isEnd(key)) return this.#ended(key.timeStamp);
    // A held key is a person's.
    if (key.repeat) {
      this.#reset();
      return 'pass';
    }
    // Virtual keyboards and some remote desktops name no position: then only the character is left.
    const character = key.code === '' ? single(key.key) : characterOf(key.code, key.shiftKey);
    if (character === null) {
      if (!isModifier(key)) this.#reset();
      return 'pass';
    }
    if (this.#text === '') this.#startedAt = key.timeStamp;
    // A machine that stood still for a moment makes nobody of a reader.
    else if (gap > this.#options.maxGapMs) this.#startedAt += gap;
    if (this.#text.length <= MAX_CODE) this.#text += character;
    this.#lastAt = key.timeStamp;
    return this.#text.length > 1 ? 'part' : 'first';
  }

  /** Nothing was pressed for `idleMs`: a reader that sends no Enter has finished. True if that made a scan. */
  idle(): boolean {
    const { unendedLength, unendedMeanMs } = this.#options;
    const read = this.#isFast(unendedLength, unendedMeanMs);
    const text = this.#text;
    const at = this.#lastAt;
    this.#reset();
    if (read) {
      // This reader sends no Enter: nobody is to wait for one.
      this.#ends = false;
      this.#emit(text, at);
    }
    return read;
  }

  /** Text from the clipboard is a scan as it stands. */
  paste(text: string, timeStamp: number): void {
    const trimmed = text.trim().slice(0, MAX_CODE + 1);
    if (trimmed !== '') this.#emit(trimmed, timeStamp);
  }

  #ended(at: number): Heard {
    const { minLength, meanGapMs } = this.#options;
    const read = this.#isFast(minLength, meanGapMs);
    const text = this.#text;
    this.#reset();
    if (!read) return 'pass';
    this.#ends = true;
    this.#emit(text, at);
    return 'end';
  }

  /** Whether so many characters came so fast, on an average, as nobody types. */
  #isFast(length: number, meanMs: number): boolean {
    const mean = (this.#lastAt - this.#startedAt) / Math.max(1, this.#text.length - 1);
    return this.#text.length >= length && mean <= meanMs;
  }

  #emit(text: string, at: number): void {
    const doubled = text === this.#scanned.text && at - this.#scanned.at <= this.#options.doubledMs;
    this.#scanned = { text, at };
    if (!doubled) this.#scan(text);
  }

  #reset(): void {
    this.#text = '';
    this.#lastAt = Number.NEGATIVE_INFINITY;
  }
}

function single(key: string): string | null {
  return key.length === 1 ? key : null;
}

function isModifier(key: Key): boolean {
  return ['Shift', 'CapsLock', 'NumLock', 'AltGraph'].includes(key.key);
}

/** A timer that is later than this was held up. */
const LATE_MS = 50;

type TextField = HTMLInputElement | HTMLTextAreaElement;

function fieldOf(target: EventTarget | null): TextField | null {
  if (target instanceof HTMLTextAreaElement) return target;
  const textual = ['text', 'search', 'url', 'tel', 'password', 'number', 'email'];
  return target instanceof HTMLInputElement && textual.includes(target.type) ? target : null;
}

/**
 * Listens in the whole window. In a text field a run first looks like typing: the field is put back as it was once
 * the run proves to be a reader's. A field with `data-reader="own"` keeps what a reader types (an invitation).
 * Returns what ends it.
 */
export function listenForReader(target: Window, scan: (text: string, source: 'reader' | 'paste') => void): () => void {
  let source: 'reader' | 'paste' = 'reader';
  const wedge = new Wedge((text) => scan(text, source));
  let before: { field: TextField; value: string } | null = null;
  let timer = 0;
  let due = Number.POSITIVE_INFINITY;
  /** Keys whose release is kept from the page too: a button acts when Space is let go. */
  const kept = new Set<string>();

  const restore = (): void => {
    if (!before) return;
    before.field.value = before.value;
    before.field.dispatchEvent(new Event('input', { bubbles: true }));
    before = null;
  };
  const wait = (ms: number): void => {
    due = performance.now() + ms;
    timer = target.setTimeout(idle, ms);
  };
  const idle = (): void => {
    // Late: the page stood still, and keys that were pressed meanwhile may wait behind this.
    if (performance.now() > due + LATE_MS) {
      wait(LATE_MS);
      return;
    }
    source = 'reader';
    if (wedge.idle()) restore();
    before = null;
  };
  const down = (event: KeyboardEvent): void => {
    const field = fieldOf(event.target);
    if (field?.dataset['reader'] === 'own') return;
    target.clearTimeout(timer);
    source = 'reader';
    const heard = wedge.press(event);
    if (heard === 'first') before = field ? { field, value: field.value } : null;
    if (heard === 'end') restore();
    if (heard === 'end' || (heard === 'part' && !field)) {
      event.preventDefault();
      event.stopPropagation();
      kept.add(event.code);
    }
    wait(wedge.idleMs);
  };
  const up = (event: KeyboardEvent): void => {
    if (kept.delete(event.code)) event.preventDefault();
  };
  const paste = (event: ClipboardEvent): void => {
    if (fieldOf(event.target)) return;
    const text = event.clipboardData?.getData('text');
    if (!text) return;
    event.preventDefault();
    source = 'paste';
    wedge.paste(text, event.timeStamp);
  };
  target.addEventListener('keydown', down, true);
  target.addEventListener('keyup', up, true);
  target.addEventListener('paste', paste, true);
  return () => {
    target.clearTimeout(timer);
    target.removeEventListener('keydown', down, true);
    target.removeEventListener('keyup', up, true);
    target.removeEventListener('paste', paste, true);
  };
}
