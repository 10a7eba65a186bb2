import { cleanup, configure, fireEvent, render, screen, within } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import App from '../src/App.svelte';
import { LANGUAGES, OUTCOMES, type Trouble } from '../src/lib/contract';
import type { Gate } from '../src/lib/gate.svelte';
import { CATALOGUES, I18n } from '../src/lib/i18n/index.svelte';
import { DEVICE, MockApp, PIN, refusal, STEWARD, SUPERVISOR } from '../src/lib/mock';
import { toneOfOutcome } from '../src/lib/present';
import { advise } from '../src/lib/trouble';

// Whether something is visible costs a computed style per element, and no style is loaded here.
configure({ defaultHidden: true });

const { en } = CATALOGUES;
const START = Date.parse('2026-11-21T19:00:00Z');
let app: MockApp;
let gate: Gate;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance', 'requestAnimationFrame', 'cancelAnimationFrame'] });
  vi.setSystemTime(START);
  app = new MockApp();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  await tick();
}

async function open(): Promise<void> {
  render(App, { bridge: app, made: (made: Gate) => (gate = made) });
  await settle();
}

async function scan(text: string): Promise<void> {
  await gate.scanning.scan(text, 'reader');
  await settle();
}

const called = (command: string): unknown[] => app.calls.filter((c) => c.command === command).map((c) => c.args);
/** By its name, the quick way: computing roles and names of the whole page takes jsdom half a second. */
function button(name: string): HTMLElement {
  const named = (b: HTMLElement): boolean => (b.getAttribute('aria-label') ?? b.textContent.trim()) === name;
  const found = [...document.querySelectorAll('button')].filter(named);
  expect(found.map((b) => b.outerHTML), name).toHaveLength(1);
  return found[0]!;
}
const bar = (): HTMLElement | null => document.querySelector('header[aria-label]');
const click = async (name: string): Promise<void> => {
  await fireEvent.click(button(name));
  await settle();
};

async function enterPin(pin: string): Promise<void> {
  await fireEvent.input(screen.getByLabelText(/^PIN of/), { target: { value: pin } });
  await click(en['pin.enter']);
}

async function unlock(): Promise<void> {
  await click(en['nav.supervisor']);
  await fireEvent.click(screen.getByText('Shift lead'));
  await settle();
  await enterPin(PIN);
}

describe('a verdict', () => {
  it.each(OUTCOMES)('%s shows colour, icon, word and sound, says why and what to do, and is announced', async (outcome) => {
    await open();
    const play = vi.spyOn(gate.sounds, 'play');
    await scan(`DEMO:${outcome}`);
    const tone = toneOfOutcome(outcome);
    const view = screen.getByTestId('verdict');
    expect(view.dataset['tone']).toBe(tone);
    expect(view.querySelector(`[data-icon=${tone}]`)).not.toBeNull();
    expect(play).toHaveBeenCalledExactlyOnceWith(tone);
    expect(view.textContent).toContain(en[`verdict.${tone}`]);
    const { verdict } = gate.scanning.current!;
    // A repeat shows the first admission by itself, which is the reason.
    if (outcome !== 'already_admitted') expect(view.textContent).toContain(gate.explainer().reason(verdict));
    if (outcome !== 'ok') {
      expect(view.textContent).toContain(en[`outcome.${outcome}`]);
      expect(view.textContent).toContain(en[`next.${outcome}`]);
    }
    const spoken = screen.getByTestId('spoken');
    expect(spoken.getAttribute('aria-live')).toBe('assertive');
    expect(spoken.textContent).toContain(en[`verdict.${tone}`]);
  });

  it('of a repeat says when and where the first admission was', async () => {
    await open();
    await scan('DEMO:already_admitted');
    expect(screen.getByTestId('verdict').textContent).toContain('19:13 (47 minutes ago), South gate');
  });

  it('goes by itself, and stays when held', async () => {
    await open();
    await scan('HV1:A');
    await settle(gate.settings.ok_ms - 1);
    expect(screen.queryByTestId('verdict')).not.toBeNull();
    await settle(1);
    expect(screen.queryByTestId('verdict')).toBeNull();

    await scan('HV1:B');
    await fireEvent.keyDown(window, { key: 'F8' });
    await settle(60_000);
    expect(screen.queryByTestId('verdict')).not.toBeNull();
    expect(screen.getByTestId('window').querySelector<HTMLElement>('.content')?.inert).toBe(true);
    await fireEvent.keyDown(window, { key: 'Escape' });
    await settle();
    expect(screen.queryByTestId('verdict')).toBeNull();
  });

  it('of the next guest replaces a held one: nobody waits for a click', async () => {
    await open();
    await scan('DEMO:blocked');
    gate.scanning.hold();
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('ok');
    await settle(gate.settings.ok_ms);
    expect(screen.queryByTestId('verdict')).toBeNull();
  });

  it('is told as shown only after it was painted', async () => {
    await open();
    await scan('HV1:A');
    expect(called('scan_shown')).toEqual([]);
    await settle(50);
    expect(called('scan_shown')).toEqual([{ log_no: 1, seq: 213 }]);
  });

  it('is red where the app fails or stays silent, never green', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    await open();
    app.instead.scan_text = () => {
      throw new Error('the app is gone');
    };
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('refused');
    gate.scanning.dismiss();
    app.instead.scan_text = () => new Promise(() => undefined);
    void gate.scanning.scan('HV1:B', 'reader');
    await settle(8000);
    expect(screen.getByTestId('verdict').textContent).toContain(en['outcome.cannot_record']);
    expect(screen.getByTestId('verdict').textContent).toContain(en['verdict.not_recorded']);
  });

  it('is not asked for where it could not be seen', async () => {
    await open();
    gate.screen = 'post';
    await settle();
    window.dispatchEvent(Object.assign(new Event('paste', { bubbles: true }), { clipboardData: { getData: () => 'HV1:A' } }));
    await settle();
    expect(called('scan_text')).toEqual([]);
    gate.screen = 'history';
    await settle();
    window.dispatchEvent(Object.assign(new Event('paste', { bubbles: true }), { clipboardData: { getData: () => 'HV1:B' } }));
    await settle();
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('ok');
  });

  it('of a reader does not wait for a picture', async () => {
    await open();
    app.instead.scan_frame = () => new Promise(() => undefined);
    void gate.scanning.look({ width: 1, height: 1, pixels: new Uint8Array(1), nonce: '', source: 'camera' });
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('ok');
  });

  it('from a picture is shown; a picture without a code says so', async () => {
    await open();
    app.frames = ['DEMO:revoked', null];
    const frame = { width: 1, height: 1, pixels: new Uint8Array(1), nonce: '', source: 'image' } as const;
    expect(await gate.scanning.look(frame)).toBe(true);
    await settle();
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('refused');
    expect(await gate.scanning.look(frame)).toBe(false);
  });

  it('comes in the order of the scans, one question at a time', async () => {
    await open();
    const order: string[] = [];
    app.instead.scan_text = async ({ text }) => {
      order.push(`ask ${text}`);
      await new Promise((done) => setTimeout(done, text === 'HV1:slow' ? 500 : 1));
      order.push(`answer ${text}`);
      return app.verdict(text);
    };
    void gate.scanning.scan('HV1:slow', 'reader');
    void gate.scanning.scan('HV1:fast', 'reader');
    await settle(1000);
    expect(order).toEqual(['ask HV1:slow', 'answer HV1:slow', 'ask HV1:fast', 'answer HV1:fast']);
    expect(gate.scanning.pending).toBe(0);
  });

  it('every attempt has a name of its own', async () => {
    await open();
    await scan('HV1:A');
    await scan('HV1:A');
    const nonces = (called('scan_text') as { nonce: string }[]).map((c) => c.nonce);
    expect(new Set(nonces).size).toBe(2);
    expect(nonces.every((nonce) => /^[0-9a-f]{32}$/.test(nonce))).toBe(true);
  });
});

describe('entry and exit', () => {
  it('differ in frame, icon and word, and a scan goes the way that is shown', async () => {
    await open();
    const window_ = screen.getByTestId('window');
    expect(window_.dataset['direction']).toBe('in');
    expect(screen.getByText(en['mode.in.long'])).toBeTruthy();
    await click(en['mode.to_out']);
    expect(window_.dataset['direction']).toBe('out');
    expect(screen.getByText(en['mode.out.long'])).toBeTruthy();
    expect(document.querySelector('header [data-icon=out]')).not.toBeNull();
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').textContent).toContain(en['verdict.ok.out']);
  });

  it('somebody with a revoked ticket is let out, in amber', async () => {
    await open();
    await click(en['mode.to_out']);
    await scan('DEMO:revoked');
    const view = screen.getByTestId('verdict');
    expect(view.dataset['tone']).toBe('attention');
    expect(view.textContent).toContain('Let out. On the way in: The ticket was refunded.');
  });

  it('stay as they were where the app refuses the change', async () => {
    await open();
    app.instead.set_post = () => {
      throw refusal('cannot_record');
    };
    await click(en['mode.to_out']);
    expect(screen.getByTestId('window').dataset['direction']).toBe('in');
    expect(screen.getByRole('alert').textContent).toContain(en['error.cannot_record']);
  });
});

describe('the status bar', () => {
  const chip = (name: string): HTMLElement => document.querySelector(`[data-chip=${name}]`)!;

  it('shows age in amber past fresh_until and in red past hard_until, as time goes by', async () => {
    await open();
    expect(chip('data').dataset['state']).toBe('quiet');
    app.setStatus((s) => (s.status.manifest!.fresh_until = app.at(5000)));
    await settle();
    expect(chip('data').dataset['state']).toBe('quiet');
    await settle(6000);
    expect(chip('data').dataset['state']).toBe('warn');
    app.setStatus((s) => (s.status.manifest!.hard_until = app.at(-1000)));
    await settle();
    expect(chip('data').dataset['state']).toBe('bad');
  });

  it('shows connection, waiting scans, clock doubt, incidents, list, gate and counts', async () => {
    await open();
    app.setStatus((s) => {
      s.status.online = false;
      s.status.queue.unsent = 148;
      s.status.clock.uncertainty_ms = 600_000;
      s.status.fold.incidents = 2;
    });
    await settle();
    expect(chip('net').textContent).toContain(en['status.offline']);
    expect(chip('queue').textContent).toContain('148 scans waiting');
    expect(chip('clock').textContent).toContain('10 min');
    expect(chip('incidents').textContent).toContain('2 incidents');
    const shown = within(bar()!);
    expect(shown.getByText('Main entrance')).toBeTruthy();
    expect(shown.getByText(/North gate/)).toBeTruthy();
    expect(shown.getByText('of 3,500')).toBeTruthy();
    await click(en['status.sync']);
    expect(called('sync_now')).toHaveLength(1);
    expect(chip('queue').textContent).toContain(en['status.all_sent']);
  });

  it('uses the corrected time, not that of the machine', async () => {
    vi.setSystemTime(START + 3 * 3_600_000);
    app.status.now = new Date(START).toISOString();
    app.instead.status = () => app.status;
    await open();
    expect(Math.abs(gate.nowMs - START)).toBeLessThan(2000);
  });
});

describe('the supervisor', () => {
  it('is asked for a PIN; wrong ones are counted and lock', async () => {
    await open();
    await click(en['nav.supervisor']);
    await fireEvent.click(screen.getByText('Shift lead'));
    await settle();
    await enterPin('1111');
    expect(screen.getByText('Wrong PIN. 4 tries left.')).toBeTruthy();
    for (let i = 0; i < 4; i++) await enterPin('1111');
    await enterPin(PIN);
    expect(screen.getByText(/^Too many wrong PINs. Locked for 5 min/)).toBeTruthy();
    expect(gate.supervision).toBeNull();
  });

  it('locks by itself, even if the app does not say so, and work moves the moment', async () => {
    await open();
    await unlock();
    expect(screen.getByText('Shift lead')).toBeTruthy();
    await settle(50_000);
    await fireEvent.pointerDown(window);
    await settle(50_000);
    expect(gate.supervision).not.toBeNull();
    await settle(11_000);
    expect(gate.supervision).toBeNull();
    expect(screen.getByText(en['pin.who'])).toBeTruthy();
  });

  it('admits with a reason what was refused', async () => {
    await open();
    await unlock();
    await scan('DEMO:superseded');
    await fireEvent.keyDown(window, { key: 'F9' });
    await settle();
    const dialog = within(screen.getByRole('dialog'));
    await click(en['override.do']);
    expect(dialog.getByRole('alert').textContent).toBe(en['error.reason_missing']);
    await click(en['reason.quick.override1']);
    await click(en['override.do']);
    expect(called('override_scan')).toMatchObject([{ place: { log_no: 1, seq: 213 }, reason: 'Identity checked' }]);
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('ok');
    expect(screen.getByTestId('verdict').textContent).toContain('Admitted by a supervisor. Against:');
  });

  it('takes an admission back; the ticket then works again', async () => {
    await open();
    await unlock();
    await scan('HV1:A');
    await fireEvent.keyDown(window, { key: 'F9' });
    await settle();
    await click(en['reason.quick.undo1']);
    await click(en['undo.do']);
    expect(screen.queryByTestId('verdict')).toBeNull();
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('ok');
  });

  it('is asked for from a verdict, which stays meanwhile; what nothing lifts offers no override', async () => {
    await open();
    await scan('DEMO:blocked');
    await click(`${en['verdict.override']}F9`);
    expect(screen.getByRole('dialog').textContent).toContain('Shift lead');
    await settle(60_000);
    expect(screen.queryByTestId('verdict')).not.toBeNull();
    await fireEvent.keyDown(screen.getByRole('dialog'), { key: 'Escape' });
    await settle();
    await scan('DEMO:bad_signature');
    expect(document.querySelector('.act [data-icon=key]')).toBeNull();
  });

  it('door staff see no tools', async () => {
    await open();
    await click(en['nav.supervisor']);
    await fireEvent.click(screen.getByText('Door 1'));
    await settle();
    await enterPin(PIN);
    expect(screen.queryByRole('tablist')).toBeNull();
    expect(gate.supervision?.staff).toBe(STEWARD);
  });

  it('is not asked for where the event names none, and what only one may do is not offered', async () => {
    const [first, ...others] = app.state.enrolments;
    const stewards = first!.stewards.filter((s) => !s.supervisor);
    app.state = { ...app.state, enrolments: [{ ...first!, stewards }, ...others] };
    await open();
    await scan('HV1:A');
    await fireEvent.keyDown(window, { key: 'F9' });
    await settle();
    await click(en['reason.quick.undo1']);
    await click(en['undo.do']);
    expect(called('undo')).toHaveLength(1);
    await scan('DEMO:blocked');
    expect(document.querySelector('.act [data-icon=key]')).toBeNull();
    gate.scanning.dismiss();
    await click(en['nav.supervisor']);
    expect(screen.getByText(en['super.nobody'])).toBeTruthy();
    await fireEvent.click(screen.getByRole('tab', { name: en['super.incidents'] }));
    await settle();
    expect(screen.getByText(en['incidents.none'])).toBeTruthy();
    await fireEvent.click(screen.getByRole('tab', { name: en['super.device'] }));
    expect(button(en['device.kiosk']).hasAttribute('disabled')).toBe(true);
    // A helper may still say who is at work, and loses nothing by it.
    await click(en['pin.who']);
    await enterPin(PIN);
    expect(gate.supervision?.staff).toBe(STEWARD);
    expect(screen.getByRole('tablist')).toBeTruthy();
    await click(en['device.rehearsal.on']);
    expect(screen.getByText(en['rehearsal.banner'])).toBeTruthy();
  });

  it('begins a rehearsal that cannot be missed', async () => {
    await open();
    await unlock();
    await fireEvent.click(screen.getByRole('tab', { name: en['super.device'] }));
    await click(en['device.rehearsal.on']);
    expect(screen.getByText(en['rehearsal.banner'])).toBeTruthy();
    await scan('HV1:A');
    expect(screen.getByTestId('verdict').textContent).toContain(en['flag.rehearsal']);
    expect(screen.getByText(en['rehearsal.banner'])).toBeTruthy();
  });
});

describe('the history', () => {
  async function withHistory(): Promise<void> {
    for (const text of ['HV1:A', 'DEMO:revoked', 'HV1:B']) app.verdict(text);
    app.verdict('DEMO:superseded', 'Sent by the box office');
    await open();
    await click(en['nav.history']);
  }
  const rows = (): string[] => [...document.querySelectorAll('summary b')].map((b) => b.textContent);

  it('filters by kind', async () => {
    await withHistory();
    expect(rows()).toEqual(['Override', 'Let in', 'Taken back', 'Let in']);
    await click(en['history.refused']);
    expect(rows()).toEqual(['Taken back']);
    await click(en['history.supervised']);
    expect(rows()).toEqual(['Override']);
    await click(en['history.unsent']);
    expect(screen.getByText(en['history.none'])).toBeTruthy();
  });

  it('searches once the typing pauses, and says why each was refused', async () => {
    await withHistory();
    const before = called('history').length;
    const field = screen.getByRole('searchbox');
    for (const value of ['s', 'se', 'sent by']) await fireEvent.input(field, { target: { value } });
    await settle(300);
    expect(called('history').slice(before)).toMatchObject([{ filter: { show: 'all', text: 'sent by' } }]);
    expect(rows()).toEqual(['Override']);
    await fireEvent.input(field, { target: { value: '' } });
    await settle(300);
    expect(document.querySelector('ol')!.textContent).toContain(en['next.revoked']);
  });

  it('shows a new scan at once and asks for more by pages', async () => {
    for (let i = 0; i < 110; i++) app.verdict(`HV1:${i}`);
    await open();
    await click(en['nav.history']);
    expect(rows()).toHaveLength(100);
    await click(en['history.more']);
    expect(rows()).toHaveLength(110);
    await scan('DEMO:blocked');
    expect(rows()[0]).toBe('Blocked');
  });

  it('saves what the filter shows', async () => {
    await withHistory();
    await click(en['history.refused']);
    await click(en['history.csv']);
    expect(called('export_history')).toEqual([{ filter: { show: 'refused', text: '' }, language: 'en' }]);
    expect(screen.getByText('1 line saved as history.csv')).toBeTruthy();
  });
});

describe('languages', () => {
  it.each(LANGUAGES)('%s is spoken at once, everywhere, and kept', async (language) => {
    await open();
    await click(en['nav.settings']);
    await fireEvent.change(screen.getByLabelText(en['language']), { target: { value: language } });
    await settle();
    const words = CATALOGUES[language];
    expect(screen.getByRole('heading', { name: words['settings.title'] })).toBeTruthy();
    expect(button(words['nav.history'])).toBeTruthy();
    expect(document.documentElement.lang).toBe(language);
    expect(called('set_settings')).toMatchObject([{ settings: { language } }]);
    await scan('DEMO:not_yet_valid');
    expect(screen.getByTestId('verdict').textContent).toContain(words['reason.not_yet_valid'].split('{')[0]);
  });
});

describe('hard days', () => {
  const path = '/data';
  const TROUBLES: [Trouble, boolean][] = [
    [{ kind: 'disk_full', path, free_bytes: 2_400_000 }, true],
    [{ kind: 'disk_read_only', path }, true],
    [{ kind: 'disk_error', path, detail: 'I/O error' }, true],
    [{ kind: 'database_damaged', kept_as: '/data/damaged', black_box: 412 }, true],
    [{ kind: 'database_newer', found: 3, known: 1 }, true],
    [{ kind: 'clock_wrong', offset_ms: 3_600_000 }, false],
    [{ kind: 'revoked', unsent: 12, wiped: false }, true],
    [{ kind: 'revoked', unsent: 0, wiped: true }, true],
    [{ kind: 'manifest_expired', since: '2026-11-21T17:00:00Z' }, false],
    [{ kind: 'manifest_unusable', detail: 'not signed' }, true],
  ];

  it.each(TROUBLES)('%o says what happened and what to do', async (trouble, blocks) => {
    app.state = { ...app.state, trouble };
    await open();
    const view = screen.getByTestId('trouble');
    const advice = advise(trouble, gate.i18n, gate.now);
    expect(within(view).getByRole('heading', { level: 1 }).textContent).toBe(advice.title);
    expect(view.textContent).toContain(advice.what);
    expect(view.textContent).not.toMatch(/\{\w+\}/);
    expect(within(view).getAllByRole('listitem').map((li) => li.textContent)).toEqual(advice.steps);
    expect(advice.blocks).toBe(blocks);
    expect(within(view).queryByRole('button', { name: en['trouble.supervised'] }) === null).toBe(blocks);
  });

  it('goes once the app says that it is over', async () => {
    app.state = { ...app.state, trouble: TROUBLES[0]![0] };
    await open();
    await click(en['common.retry']);
    expect(screen.queryByTestId('trouble')).not.toBeNull();
    app.instead.trouble_retry = () => null;
    await click(en['common.retry']);
    expect(screen.queryByTestId('trouble')).toBeNull();
  });

  it('comes at once over the scan screen, and a refused scan still shows red', async () => {
    await open();
    app.setTrouble({ kind: 'disk_full', path, free_bytes: 0 });
    await settle();
    expect(screen.getByTestId('trouble')).toBeTruthy();
    await scan('DEMO:cannot_record');
    expect(screen.getByTestId('verdict').dataset['tone']).toBe('refused');
  });

  describe('of a revoked device', () => {
    const revoke = (wiped: boolean): void => {
      const [first, ...others] = app.state.enrolments;
      const gone = wiped ? { lists: [], gates: [], stewards: [], title: null } : {};
      const enrolments = [{ ...first!, ...gone, state: wiped ? ('revoked' as const) : ('leaving' as const) }, ...others];
      app.state = { ...app.state, enrolments, trouble: { kind: 'revoked', unsent: wiped ? 0 : 12, wiped } };
    };

    it('end where another event of this machine is chosen', async () => {
      revoke(true);
      await open();
      await click(en['device.post']);
      expect(document.querySelector<HTMLInputElement>('input[name=event]:checked')!.disabled).toBe(false);
      await click(en['post.start']);
      expect(called('set_post')).toMatchObject([{ post: { device_id: app.state.enrolments[1]!.device_id } }]);
      expect(screen.queryByTestId('trouble')).toBeNull();
      expect(bar()).not.toBeNull();
    });

    it('end by leaving, for which a wiped one asks no PIN', async () => {
      revoke(true);
      await open();
      await click(en['device.leave']);
      await click(en['device.leave.do']);
      expect(called('leave')).toEqual([{ device_id: DEVICE }]);
      expect(screen.getByText(en['post.title'])).toBeTruthy();
    });

    it('need a supervisor as long as guests are on it', async () => {
      revoke(false);
      await open();
      await click(en['device.leave']);
      expect(screen.getByRole('dialog').textContent).toContain('Shift lead');
      await enterPin(PIN);
      await click(en['device.leave.do']);
      expect(called('leave')).toEqual([{ device_id: DEVICE }]);
    });

    it('leave a way back from enrolling, and offer no other event where there is none', async () => {
      revoke(true);
      app.state = { ...app.state, enrolments: app.state.enrolments.slice(0, 1) };
      await open();
      expect([...document.querySelectorAll('button')].some((b) => b.textContent.includes(en['device.post']))).toBe(false);
      await click(en['enrol.title']);
      await click(en['common.back']);
      expect(screen.getByTestId('trouble')).toBeTruthy();
    });
  });

  it('a window that was closed in mid-scan says so, once', async () => {
    app.state = { ...app.state, interrupted: { scanned_at: '2026-11-21T18:59:12Z', outcome: 'ok', ticket_type_name: null } };
    await open();
    expect(screen.getByRole('dialog').textContent).toContain('19:59:12');
    await click(en['common.continue']);
    expect(called('interrupted_seen')).toHaveLength(1);
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  it('a missing camera is explained where the picture would be', async () => {
    await open();
    await click(en['scan.camera']);
    expect(screen.getByRole('alert').textContent).toContain(en['camera.none.what']);
  });

  it('advice reads well in every language', () => {
    const i18n = new I18n();
    for (const language of LANGUAGES) {
      i18n.language = language;
      for (const [trouble] of TROUBLES) expect(JSON.stringify(advise(trouble, i18n, app.at()))).not.toMatch(/\{\w+\}/);
    }
  });
});

describe('enrolment', () => {
  beforeEach(() => {
    app.state = { ...app.state, enrolments: [], post: null };
  });

  it('by link: digits to compare, a name, then list and gate', async () => {
    await open();
    gate.takeText?.('https://tickets.example.org/gates/enroll#1.x');
    await settle();
    expect(called('enrol_begin')).toEqual([{ invitation: 'https://tickets.example.org/gates/enroll#1.x', server: null }]);
    expect(screen.getByLabelText('Digits to compare: 4 0 7 2 1 5')).toBeTruthy();
    app.emit('enrolment', { state: 'unreachable' });
    await settle();
    expect(screen.getByText(en['enrol.unreachable'])).toBeTruthy();
    const [first] = new MockApp().state.enrolments;
    app.state = { ...app.state, enrolments: [first!] };
    app.emit('enrolment', { state: 'done', device_id: DEVICE, label: 'Tablet', number: 3 });
    // The core tells of it as well: that must not take the steward away.
    app.emit('app_state', app.state);
    await settle();
    await fireEvent.input(screen.getByLabelText(new RegExp(en['enrol.name.field'])), { target: { value: 'North left' } });
    await click(en['common.continue']);
    expect(called('name_device')).toEqual([{ device_id: DEVICE, name: 'North left' }]);
    await fireEvent.click(screen.getByLabelText(/South gate/));
    await click(en['post.start']);
    expect(called('set_post')).toMatchObject([{ post: { device_id: DEVICE, direction: 'in', rehearsal: false } }]);
    expect(gate.gateName).toBe('South gate');
  });

  it('by typed code, with the reason where it fails', async () => {
    await open();
    await click(en['enrol.by_code']);
    const type = (label: string, value: string): Promise<unknown> => fireEvent.input(screen.getByLabelText(new RegExp(label)), { target: { value } });
    await type(en['enrol.code'], '4F7K');
    await type(en['enrol.server'], 'https://tickets.example.org');
    await fireEvent.submit(document.querySelector('form')!);
    await settle();
    expect(screen.getByRole('alert').textContent).toBe(en['error.invalid_code']);
    await type(en['enrol.code'], '4F7K-9M2X');
    await fireEvent.submit(document.querySelector('form')!);
    await settle();
    await click(en['enrol.different']);
    expect(called('enrol_cancel')).toHaveLength(1);
    expect(screen.getByText(en['enrol.intro'])).toBeTruthy();
  });

  it('that the organizer declines begins anew', async () => {
    await open();
    gate.takeText?.('https://x.example.org/#1');
    await settle();
    app.emit('enrolment', { state: 'declined' });
    await settle();
    expect(screen.getByRole('alert').textContent).toBe(en['error.declined']);
  });

  it('the first download shows how far it is', async () => {
    const [first] = new MockApp().state.enrolments;
    app.state = { ...app.state, enrolments: [{ ...first!, lists: [], gates: [] }] };
    await open();
    app.emit('sync', { phase: 'downloading', done: 61_240, of: 100_000, first: true });
    await settle();
    expect(screen.getByRole('progressbar').getAttribute('value')).toBe('0.6124');
    expect(screen.getByText(/61,240/)).toBeTruthy();
  });
});

describe('kiosk', () => {
  it('shows no bar, no names, no reasons, and ends by PIN alone', async () => {
    app.state = { ...app.state, kiosk: true };
    await open();
    expect(bar()).toBeNull();
    expect(document.querySelector('nav')).toBeNull();
    await scan('DEMO:ok:named');
    expect(document.body.textContent).toContain(en['kiosk.ok']);
    expect(document.body.textContent).not.toContain('Demo Guest');
    await scan('DEMO:revoked');
    expect(document.body.textContent).not.toContain(en['reason.revoked.refunded']);
    await click(en['kiosk.leave']);
    await fireEvent.click(screen.getByText('Shift lead'));
    await settle();
    await enterPin('0000');
    expect(bar()).toBeNull();
    await enterPin(PIN);
    expect(bar()).not.toBeNull();
    expect(called('kiosk_leave')).toMatchObject([{ staff: SUPERVISOR, pin: '0000' }, { staff: SUPERVISOR, pin: PIN }]);
  });

  it('ends without a PIN where the event names nobody who has one', async () => {
    const [first, ...others] = app.state.enrolments;
    app.state = { ...app.state, kiosk: true, enrolments: [{ ...first!, stewards: [] }, ...others] };
    await open();
    await click(en['kiosk.leave']);
    await click(en['kiosk.end']);
    expect(called('kiosk_leave')).toEqual([{ staff: null, pin: '' }]);
    expect(bar()).not.toBeNull();
  });

  it('takes refusals away by itself, whatever was set for the door', async () => {
    app.state = { ...app.state, kiosk: true, settings: { ...app.state.settings, hold_refusals: true } };
    await open();
    await scan('DEMO:blocked');
    expect(document.querySelector('main')?.dataset['tone']).toBe('refused');
    await settle(gate.settings.refused_ms);
    expect(document.querySelector('main')?.dataset['tone']).toBe('ready');
  });

  it('invites nobody while nobody can be let in', async () => {
    app.state = { ...app.state, kiosk: true, trouble: { kind: 'disk_full', path: '/data', free_bytes: 0 } };
    await open();
    expect(document.querySelector('main')?.dataset['tone']).toBe('refused');
    expect(document.body.textContent).toContain(en['kiosk.refused']);
    expect(document.body.textContent).not.toContain(en['kiosk.scan']);
  });
});

it('nothing but a label of its own names a control, and all can be reached by keyboard', async () => {
  for (const name of [en['nav.scan'], en['nav.history'], en['nav.settings']]) {
    await open();
    await click(name);
    const controls = [...document.querySelectorAll<HTMLElement>('button, input:not([hidden]), select, textarea')];
    const nameless = controls.filter((c) => {
      const label = c.closest('label')?.textContent ?? '';
      return `${c.textContent}${c.getAttribute('aria-label') ?? ''}${label}`.trim() === '';
    });
    expect(nameless).toEqual([]);
    expect(controls.filter((c) => c.tabIndex < 0 && c.getAttribute('role') !== 'tab')).toEqual([]);
    cleanup();
  }
});
