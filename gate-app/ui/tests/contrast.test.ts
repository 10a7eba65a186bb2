// @vitest-environment node
/** WCAG 2.2 AA over the design tokens: 4.5:1 for text, 3:1 for what only has to be seen (1.4.3, 1.4.11). */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const css = readFileSync(new URL('../src/tokens.css', import.meta.url), 'utf8');
const tokens = new Map([...css.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map((m) => [m[1]!, m[2]!]));

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [light, dark] = [one, other].map((name) => {
    const hex = tokens.get(name);
    if (!hex) throw new Error(`no token ${name}`);
    return luminance(hex);
  }).sort((a, b) => b - a) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const GROUNDS = ['ground', 'surface', 'raised'];
const SIGNALS = ['ok', 'attention', 'used', 'refused'];

it.each(GROUNDS.flatMap((ground) => ['text', 'quiet', 'good', 'warn', 'bad', 'accent', 'in', 'out'].map((text) => [text, ground])))(
  '%s can be read on %s',
  (text, ground) => expect(contrast(text!, ground!)).toBeGreaterThanOrEqual(4.5),
);

it.each([...SIGNALS, 'accent', 'in', 'out', 'rehearsal'])('words on %s can be read', (name) => {
  expect(contrast(`on-${name}`, name)).toBeGreaterThanOrEqual(4.5);
});

it.each(SIGNALS)('the large words on %s can be read by tired eyes too', (name) => {
  // Level AAA for normal text would be 7; the word of a verdict is many times as large.
  expect(contrast(`on-${name}`, name)).toBeGreaterThanOrEqual(5.5);
});

it.each(GROUNDS)('borders of fields and the focus are seen on %s', (ground) => {
  expect(contrast('line', ground)).toBeGreaterThanOrEqual(3);
  expect(contrast('focus', ground)).toBeGreaterThanOrEqual(3);
});

it('entry and exit frames are seen around every signal they are laid beside', () => {
  for (const frame of ['in', 'out']) expect(contrast(frame, 'ground')).toBeGreaterThanOrEqual(3);
});

/** The rules of app.css for one button in one state: of each property what the browser would take. */
function styleOf(classes: string[], states: string[]): Map<string, string> {
  const all = readFileSync(new URL('../src/app.css', import.meta.url), 'utf8').replace(/\/\*[^]*?\*\//g, '');
  const style = new Map<string, { value: string; weight: number }>();
  const has = new Set([...classes.map((c) => `.${c}`), ...states, ':not(:disabled)']);
  for (const [, selectors, body] of all.matchAll(/([^{}]+)\{([^{}]*)\}/g)) {
    for (const selector of selectors!.split(',').map((s) => s.trim()).filter((s) => s.startsWith('.button') && !/[ >+~]/.test(s))) {
      const parts = selector.match(/\.[\w-]+|\[[^\]]+\]|:not\([^)]*\)|:[\w-]+/g) ?? [];
      if (!parts.every((part) => has.has(part))) continue;
      // Classes, attributes and pseudo-classes weigh the same.
      for (const [, name, value] of body!.matchAll(/([\w-]+):\s*([^;]+);/g)) {
        if ((style.get(name!)?.weight ?? 0) <= parts.length) style.set(name!, { value: value!, weight: parts.length });
      }
    }
  }
  return new Map([...style].map(([name, { value }]) => [name, value]));
}

const PRESSED = "[aria-pressed='true']";
it.each([[], ['strong'], ['danger'], ['wide']].flatMap((kind) => [[], [PRESSED]].flatMap((pressed) => [[], [':hover'], [':hover', ':active']].map((on) => [kind, [...pressed, ...on]] as const))))(
  'the words on a button %o in the state %o can be read',
  (kind, states) => {
    const style = styleOf(['button', ...kind], [...states]);
    const token = (name: string): string => /^var\(--([\w-]+)\)$/.exec(style.get(name) ?? '')?.[1] ?? `${name}: ${style.get(name)}`;
    expect(contrast(token('color'), token('background'))).toBeGreaterThanOrEqual(4.5);
  },
);

it('no colour stands outside of the tokens but black, white and their shades', () => {
  const all = readFileSync(new URL('../src/app.css', import.meta.url), 'utf8');
  const strays = [...all.matchAll(/#[0-9a-f]{3,8}\b/gi)].map((m) => m[0]).filter((c) => !['#000', '#fff'].includes(c));
  expect(strays).toEqual([]);
});
