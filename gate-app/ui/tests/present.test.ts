// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { FLAGS, OUTCOMES, type Outcome } from '../src/lib/contract';
import { MockApp } from '../src/lib/mock';
import { mayOverride, type Tone, toneOf, toneOfOutcome, weightOf } from '../src/lib/present';

const TONE: Record<Outcome, Tone> = {
  ok: 'ok', malformed: 'refused', unknown_key: 'refused', bad_signature: 'refused', wrong_event: 'refused',
  unknown_ticket: 'refused', revoked: 'refused', superseded: 'refused', blocked: 'refused', not_yet_valid: 'refused',
  expired: 'refused', product: 'refused', rules: 'refused', already_admitted: 'used', stale_manifest: 'refused',
  cannot_record: 'refused',
};
const LIFTED = ['unknown_ticket', 'revoked', 'superseded', 'blocked', 'not_yet_valid', 'expired', 'product', 'rules', 'already_admitted', 'stale_manifest'];

describe.each(OUTCOMES)('%s', (outcome) => {
  const app = new MockApp();
  const verdict = app.verdict(`DEMO:${outcome}`);

  it('has its signal', () => {
    expect(toneOfOutcome(outcome)).toBe(TONE[outcome]);
    expect(toneOf(verdict)).toBe(TONE[outcome]);
  });

  it('can be overridden exactly from unknown_ticket on', () => {
    expect(mayOverride(verdict)).toBe(LIFTED.includes(outcome));
  });
});

it('nothing unrecorded is green, whatever it says', () => {
  const verdict = new MockApp().verdict('HV1:A');
  for (const lost of [{ seq: null }, { log_no: null }]) {
    expect(toneOf({ ...verdict, answer: { ...verdict.answer, ...lost } })).toBe('refused');
  }
});

it('a note, or a remark that asks to look, makes an ok amber and a refusal no better', () => {
  const verdict = new MockApp().verdict('HV1:A');
  const withFlags = (flags: typeof FLAGS[number][], kind = verdict.answer.kind) => toneOf({ ...verdict, answer: { ...verdict.answer, flags, kind } });
  expect(toneOf({ ...verdict, attention: 'Check the student card' })).toBe('attention');
  expect(toneOf({ ...verdict, guest: { name: null, note: 'Wheelchair', born_on: null, answers: [] } })).toBe('attention');
  expect(toneOf({ ...verdict, guest: { name: 'Demo Guest', note: null, born_on: null, answers: [] } })).toBe('ok');
  expect(withFlags(['late_sale', 'stale_warning', 'clock_doubt'])).toBe('ok');
  expect(withFlags(['quarantined_repeat'])).toBe('attention');
  expect(withFlags(['resumed'])).toBe('attention');
  expect(withFlags(['revoked'], 'exit')).toBe('attention');
  expect(withFlags(['overridden', 'revoked'], 'override')).toBe('ok');
  expect(toneOf({ ...new MockApp().verdict('DEMO:blocked'), attention: 'x' })).toBe('refused');
});

it('every flag has a weight', () => {
  for (const flag of FLAGS) expect(['note', 'look']).toContain(weightOf(flag, 'entry'));
});

it('a broken rule is never overridden', () => {
  expect(mayOverride(new MockApp().verdict('DEMO:rules:broken'))).toBe(false);
});
