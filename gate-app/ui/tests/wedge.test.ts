import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { characterOf, type Key, listenForReader, MAX_CODE, Wedge } from '../src/lib/wedge';

const BASE45 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:';
const CODE = 'HV1:0A-B C$D%E*F+G.H/I:J9Z8Y7';

/** Position and Shift of each character on an American keyboard, found by the table under test turned round. */
function strokeOf(character: string): { code: string; shiftKey: boolean } {
  const codes = [
    ...Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZ', (c) => `Key${c}`),
    ...Array.from('0123456789', (c) => `Digit${c}`),
    'Minus', 'Equal', 'Semicolon', 'Period', 'Slash', 'Space', 'Comma', 'Quote',
  ];
  for (const shiftKey of [false, true]) {
    const code = codes.find((c) => characterOf(c, shiftKey) === character);
    if (code) return { code, shiftKey };
  }
  throw new Error(`no key for ${character}`);
}

/** What other layouts write at the position: only what differs from the American one is listed. */
const GERMAN: Record<string, string> = {
  KeyY: 'z', KeyZ: 'y', Minus: 'ß', Equal: '´', Semicolon: 'ö', Slash: '-', '^KeyY': 'Z', '^KeyZ': 'Y', '^Equal': '`',
  '^Semicolon': 'Ö', '^Digit4': '$', '^Digit5': '%', '^Digit8': '(', '^Slash': '_',
};
const FRENCH: Record<string, string> = {
  KeyA: 'q', KeyQ: 'a', KeyW: 'z', KeyZ: 'w', KeyM: ',', Digit1: '&', Digit2: 'é', Digit8: '_', Digit9: 'ç', Digit0: 'à',
  Minus: ')', Semicolon: 'm', Period: ':', Slash: '!', '^KeyA': 'Q', '^KeyM': '?', '^Digit4': '4', '^Digit5': '5',
  '^Semicolon': 'M',
};

interface Typed {
  gapMs?: number;
  startMs?: number;
  layout?: Record<string, string>;
  capsLock?: boolean;
  end?: string | null;
}

function keys(text: string, { gapMs = 8, startMs = 1000, layout = {}, capsLock = false, end = 'Enter' }: Typed = {}): Key[] {
  const plain = { ctrlKey: false, altKey: false, metaKey: false, repeat: false };
  let at = startMs;
  const all: Key[] = [];
  for (const character of text) {
    const { code, shiftKey } = strokeOf(character);
    if (shiftKey) all.push({ ...plain, code: 'ShiftLeft', key: 'Shift', shiftKey: true, timeStamp: at });
    let key = layout[`${shiftKey ? '^' : ''}${code}`] ?? character;
    if (capsLock) key = key === key.toUpperCase() ? key.toLowerCase() : key.toUpperCase();
    all.push({ ...plain, code, key, shiftKey, timeStamp: at });
    at += gapMs;
  }
  if (end) all.push({ ...plain, code: end, key: end, shiftKey: false, timeStamp: at });
  return all;
}

function scanned(...runs: Key[][]): string[] {
  const texts: string[] = [];
  const wedge = new Wedge((text) => texts.push(text));
  for (const run of runs) for (const key of run) wedge.press(key);
  return texts;
}

describe('characters come from key positions', () => {
  it('writes the whole base45 alphabet of an American keyboard', () => {
    expect(scanned(keys(BASE45))).toEqual([BASE45]);
  });

  it.each([
    ['German', GERMAN],
    ['French', FRENCH],
  ])('reads the same text under a %s layout', (_, layout) => {
    const stream = keys(CODE, { layout });
    expect(stream.map((k) => k.key).join('')).not.toContain(CODE);
    expect(scanned(stream)).toEqual([CODE]);
  });

  it.each([{}, GERMAN, FRENCH])('is not moved by caps lock', (layout) => {
    expect(scanned(keys(CODE, { layout, capsLock: true }))).toEqual([CODE]);
  });

  it('reads digits and signs of a number pad', () => {
    expect(['Numpad7', 'NumpadAdd', 'NumpadDivide'].map((c) => characterOf(c, false)).join('')).toBe('7+/');
    expect(characterOf('F5', false)).toBeNull();
  });

  it('falls back to the character where no position is named', () => {
    const nameless = keys('TICKET1').map((k) => (k.code.startsWith('Shift') || k.code === 'Enter' ? k : { ...k, code: '' }));
    expect(scanned(nameless)).toEqual(['TICKET1']);
  });
});

describe('a reader is told from a person', () => {
  it.each(['Enter', 'NumpadEnter', 'Tab'])('ends at %s', (end) => {
    expect(scanned(keys(CODE, { end }))).toEqual([CODE]);
  });

  it('takes slow Bluetooth readers', () => {
    expect(scanned(keys(CODE, { gapMs: 45 }))).toEqual([CODE]);
  });

  it('bears a machine that stalls in the middle of a code', () => {
    const stalled = keys(CODE).map((k, i) => (i > 12 ? { ...k, timeStamp: k.timeStamp + 180 } : k));
    expect(scanned(stalled)).toEqual([CODE]);
  });

  it('bears a longer stall where readers send an Enter: half a code is not taken for a whole one', () => {
    const texts: string[] = [];
    const wedge = new Wedge((t) => texts.push(t));
    for (const key of keys('HV1:FIRST')) wedge.press(key);
    const begun = keys(CODE, { startMs: 3000, end: null });
    const rest = keys('0123456789', { startMs: begun.at(-1)!.timeStamp + 900 });
    for (const key of begun) wedge.press(key);
    expect(wedge.idleMs).toBe(1000);
    for (const key of rest) wedge.press(key);
    expect(texts).toEqual(['HV1:FIRST', `${CODE}0123456789`]);
    expect(wedge.idleMs).toBe(250);
    // Broken off, it is no prefix of the next one.
    for (const key of [...keys(CODE, { startMs: 9000, end: null }), ...keys('HV1:NEXT', { startMs: 11_000 })]) wedge.press(key);
    expect(texts.at(-1)).toBe('HV1:NEXT');
  });

  it('bears that stall in short and slow codes too, and before a Shift', () => {
    for (const [text, gapMs] of [['4006381333931', 8], [CODE, 40], ['AB12:CD34', 8]] as const) {
      for (const at of [3, 4, 5]) {
        const run = keys(text, { gapMs, startMs: 5000 });
        const stalled = run.map((key, i) => (i > at ? { ...key, timeStamp: key.timeStamp + 600 } : key));
        const texts: string[] = [];
        const wedge = new Wedge((t) => texts.push(t));
        for (const key of keys(CODE)) wedge.press(key);
        for (const key of stalled) wedge.press(key);
        const short = run.slice(0, at + 1).filter((key) => key.key !== 'Shift').length < 4;
        expect(texts, `${text} after key ${at}`).toEqual(short ? [CODE, expect.any(String)] : [CODE, text]);
      }
    }
  });

  it('waits for no Enter of a reader that sent none', () => {
    const texts: string[] = [];
    const wedge = new Wedge((t) => texts.push(t));
    for (const key of keys(CODE)) wedge.press(key);
    const other = CODE.replace('HV1', 'HV2');
    for (const key of keys(other, { startMs: 5000, end: null })) wedge.press(key);
    expect(wedge.idleMs).toBe(1000);
    expect(wedge.idle()).toBe(true);
    for (const key of keys(CODE, { startMs: 6000, end: null })) wedge.press(key);
    expect(wedge.idleMs).toBe(250);
    expect(wedge.idle()).toBe(true);
    expect(texts).toEqual([CODE, other, CODE]);
  });

  it('leaves what people type, even fast, to the page', () => {
    expect(scanned(keys('HELLO', { gapMs: 90 }))).toEqual([]);
    expect(scanned(keys('ABC', { gapMs: 5 }))).toEqual([]);
    expect(scanned(keys('ABCDEF', { gapMs: 200 }))).toEqual([]);
  });

  it('begins anew after a pause: half a code is no prefix of the next', () => {
    expect(scanned(keys('HV1:ABC', { end: null }), keys(CODE, { startMs: 5000 }))).toEqual([CODE]);
  });

  it('never takes shortcuts or held keys for a code', () => {
    const shortcut = keys('ABCDEF').map((k) => ({ ...k, ctrlKey: true }));
    const held = keys('AAAAAA').map((k, i) => ({ ...k, repeat: i > 2 }));
    expect(scanned(shortcut, held)).toEqual([]);
  });

  it('accepts long and very fast runs without an end, and short ones not', () => {
    for (const [text, gapMs, expected] of [
      [CODE, 8, true],
      ['HV1:ABC', 8, false],
      [CODE, 45, false],
    ] as const) {
      const texts: string[] = [];
      const wedge = new Wedge((t) => texts.push(t));
      for (const key of keys(text, { end: null, gapMs })) wedge.press(key);
      expect(wedge.idle()).toBe(expected);
      expect(texts).toEqual(expected ? [text] : []);
    }
  });
});

describe('a doubled trigger', () => {
  it('is one scan, however often it bounces', () => {
    const runs = [1000, 1700, 2400, 3100].map((startMs) => keys(CODE, { startMs, gapMs: 4 }));
    expect(scanned(...runs)).toEqual([CODE]);
  });

  it('is none if it comes later, or with another code between', () => {
    expect(scanned(keys(CODE), keys(CODE, { startMs: 4000 }))).toEqual([CODE, CODE]);
    const other = keys('HV1:OTHER', { startMs: 1400, gapMs: 4 });
    expect(scanned(keys(CODE, { gapMs: 4 }), other, keys(CODE, { startMs: 1700, gapMs: 4 }))).toEqual([CODE, 'HV1:OTHER', CODE]);
  });
});

describe('length', () => {
  it('is bounded, and one too many is still seen to be too many', () => {
    expect(scanned(keys('A'.repeat(MAX_CODE)))[0]).toHaveLength(MAX_CODE);
    expect(scanned(keys('A'.repeat(5000), { gapMs: 1 }))[0]).toHaveLength(MAX_CODE + 1);
  });

  it('of pasted text too', () => {
    const texts: string[] = [];
    const wedge = new Wedge((t) => texts.push(t));
    wedge.paste('  HV1:X \n', 0);
    wedge.paste('B'.repeat(9000), 10);
    wedge.paste('   ', 20);
    expect(texts.map((t) => t.length)).toEqual([5, MAX_CODE + 1]);
  });
});

describe('in a window', () => {
  const scans: [string, string][] = [];
  let stop: () => void;

  beforeEach(() => {
    vi.useFakeTimers();
    scans.length = 0;
    document.body.innerHTML = '<button>Sync</button><input id="search" value="lost" /><input id="invite" data-reader="own" />';
    stop = listenForReader(window, (text, source) => scans.push([text, source]));
  });
  afterEach(() => {
    stop();
    vi.useRealTimers();
  });

  /** Sends a run and, as a browser would, writes into a field unless the key was kept from it. */
  function send(run: Key[], into: HTMLElement): Event[] {
    return run.flatMap((key) => {
      const down = new KeyboardEvent('keydown', { ...key, bubbles: true, cancelable: true });
      Object.defineProperty(down, 'timeStamp', { value: key.timeStamp });
      into.dispatchEvent(down);
      const character = characterOf(key.code, key.shiftKey);
      if (into instanceof HTMLInputElement && character && !down.defaultPrevented) into.value += character;
      const up = new KeyboardEvent('keyup', { ...key, bubbles: true, cancelable: true });
      into.dispatchEvent(up);
      return [down, up];
    });
  }

  it('a focused button is not pressed by the spaces and the Enter of a code', () => {
    const events = send(keys('HV1:A B'), document.querySelector('button') as HTMLButtonElement);
    expect(scans).toEqual([['HV1:A B', 'reader']]);
    const dangerous = events.filter((e) => ['Space', 'Enter'].includes((e as KeyboardEvent).code));
    expect(dangerous).toHaveLength(4);
    expect(dangerous.every((e) => e.defaultPrevented)).toBe(true);
  });

  it('a person may press a button by Space and Enter', () => {
    const button = document.querySelector('button') as HTMLButtonElement;
    const events = [...send(keys(' ', { end: null }), button), ...send(keys('', { startMs: 9000 }), button)];
    expect(events.some((e) => e.defaultPrevented)).toBe(false);
  });

  it('a text field is put back as it was, and keeps what people type', () => {
    const field = document.querySelector('#search') as HTMLInputElement;
    const heard = vi.fn();
    field.addEventListener('input', heard);
    send(keys(CODE), field);
    expect(scans).toEqual([[CODE, 'reader']]);
    expect(field.value).toBe('lost');
    expect(heard).toHaveBeenCalledOnce();
    send(keys('BAG', { startMs: 9000, gapMs: 180, end: null }), field);
    expect(field.value).toBe('lostBAG');
    send(keys(CODE, { startMs: 20_000 }), field);
    expect(field.value).toBe('lostBAG');
  });

  it('a field for invitations keeps what a reader types', () => {
    const field = document.querySelector('#invite') as HTMLInputElement;
    send(keys('4F7K-9M2X', { end: null }), field);
    expect(field.value).toBe('4F7K-9M2X');
    expect(scans).toEqual([]);
  });

  it('a reader without Enter is understood after a pause', () => {
    send(keys(CODE, { end: null }), document.body);
    expect(scans).toEqual([]);
    vi.advanceTimersByTime(300);
    expect(scans).toEqual([[CODE, 'reader']]);
  });

  it('a timer that is late lets waiting keys go before', () => {
    const spy = vi.spyOn(performance, 'now');
    const run = keys(CODE);
    const half = run.length / 2;
    send(run.slice(0, half), document.body);
    // The page stood still: the timer is due, and the rest of the code waits behind it.
    const now = performance.now();
    spy.mockReturnValue(now + 800);
    vi.advanceTimersByTime(250);
    expect(scans).toEqual([]);
    spy.mockRestore();
    send(run.slice(half), document.body);
    expect(scans).toEqual([[CODE, 'reader']]);
  });

  it('pasting outside of fields is a scan', () => {
    const paste = (into: Element): void => {
      const event = new Event('paste', { bubbles: true, cancelable: true });
      Object.defineProperty(event, 'clipboardData', { value: { getData: () => CODE } });
      into.dispatchEvent(event);
    };
    paste(document.querySelector('#search') as Element);
    expect(scans).toEqual([]);
    paste(document.body);
    expect(scans).toEqual([[CODE, 'paste']]);
  });
});
