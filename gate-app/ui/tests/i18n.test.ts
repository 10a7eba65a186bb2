// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { LANGUAGES } from '../src/lib/contract';
import { Format } from '../src/lib/format';
import { CATALOGUES, I18n, preferred } from '../src/lib/i18n/index.svelte';
import { en, type Key } from '../src/lib/i18n/en';

const KEYS = Object.keys(en) as Key[];
const holes = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).sort();
/** Words that are the same in several languages. */
const SHARED = /^operator\./;

describe.each(LANGUAGES.filter((language) => language !== 'en'))('%s', (language) => {
  const catalogue = CATALOGUES[language];

  it('has every key, and none besides', () => {
    expect(Object.keys(catalogue).sort()).toEqual([...KEYS].sort());
  });

  it('leaves the same holes for values', () => {
    const wrong = KEYS.filter((key) => holes(catalogue[key]).join() !== holes(en[key]).join());
    expect(wrong).toEqual([]);
  });

  it('gives as many steps of advice', () => {
    const wrong = KEYS.filter((key) => catalogue[key].split('\n').length !== en[key].split('\n').length);
    expect(wrong).toEqual([]);
  });

  it('is translated: no sentence is the English one', () => {
    const same = KEYS.filter((key) => catalogue[key] === en[key] && /\w{3,} \w{2,}/.test(en[key]) && !SHARED.test(key));
    expect(same).toEqual([]);
  });
});

it('nothing is empty or has space at its ends', () => {
  for (const language of LANGUAGES) {
    expect(KEYS.filter((key) => CATALOGUES[language][key].trim() === '' || CATALOGUES[language][key] !== CATALOGUES[language][key].trim())).toEqual([]);
  }
});

it('counts have both forms', () => {
  for (const key of KEYS) if (key.endsWith('_one')) expect(KEYS).toContain(key.replace(/_one$/, '_other'));
  const i18n = new I18n();
  expect(i18n.n('status.waiting', 1)).toBe('1 scan waiting');
  expect(i18n.n('status.waiting', 1200)).toBe('1,200 scans waiting');
  i18n.language = 'fr';
  expect(i18n.n('status.waiting', 0)).not.toBe(i18n.n('status.waiting', 2).replace('2', '0'));
});

it('begins in the language of the machine', () => {
  expect(preferred(['nl-NL', 'de-AT', 'en'])).toBe('de');
  expect(preferred(['ja'])).toBe('en');
});

describe('numbers and times', () => {
  const at = '2026-11-21T19:04:09Z';
  it.each([
    ['en', '12,345', '20:04'],
    ['de', '12.345', '20:04'],
    ['es', '12.345', '20:04'],
    ['fr', '12\u202f345', '20:04'],
  ] as const)('in %s, at the venue', (language, number, clock) => {
    const format = new Format(language, 'Europe/Berlin');
    expect(format.number(12_345)).toBe(number);
    expect(format.clock(at)).toBe(clock);
  });

  it('a day is told only where it is another one', () => {
    const format = new Format('de', 'Europe/Berlin');
    expect(format.time(at, '2026-11-21T22:00:00Z')).toBe('20:04');
    expect(format.time(at, '2026-11-21T23:30:00Z')).toContain('21. Nov');
  });

  it('durations take the largest unit, and past and future differ', () => {
    const format = new Format('de', null);
    expect(format.duration(125_000)).toBe('2 Min.');
    expect(format.duration(26 * 3_600_000)).toBe('26 Std.');
    expect(format.relative('2026-11-21T19:04:00Z', '2026-11-21T19:16:30Z')).toBe('vor 12 Minuten');
    expect(format.relative('2026-11-21T20:04:00Z', '2026-11-21T19:04:00Z')).toBe('in 1 Stunde');
  });

  it('a zone that this machine does not know is left out', () => {
    expect(() => new Format('en', 'Mars/Olympus').clock(at)).not.toThrow();
  });
});
