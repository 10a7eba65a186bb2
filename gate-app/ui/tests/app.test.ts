import { cleanup, fireEvent, screen, within } from '@testing-library/svelte';
import { describe, expect, it, vi } from 'vitest';
import { LANGUAGES, OUTCOMES } from '../src/lib/contract';
import { CATALOGUES } from '../src/lib/i18n/index.svelte';
import { PIN, refusal, STEWARD } from '../src/lib/mock';
import { toneOfOutcome } from '../src/lib/present';
import { START, app, bar, button, called, click, en, enterPin, gate, open, scan, settle, unlock } from './window';

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

  it('starts anew with the next one: its time, and what is pressed', async () => {
    await open();
    await scan('HV1:A');
    await settle(gate.settings.ok_ms - 100);
    const view = screen.getByTestId('verdict');
    const undo = within(view).getByRole('button', { name: new RegExp(en['verdict.undo']) });
    expect(view.classList.contains('fading')).toBe(true);
    await fireEvent.pointerDown(undo);
    await scan('HV1:B');
    expect(screen.getByTestId('verdict')).toBe(view);
    expect(view.classList.contains('fading')).toBe(false);
    // A press that began on the first one's button is none on the second's.
    await fireEvent.click(undo);
    expect(gate.asking).toBeNull();
    expect(gate.scanning.held).toBe(false);
    await settle(gate.settings.ok_ms - 100);
    expect(screen.queryByTestId('verdict')).not.toBeNull();
    await settle(100);
    expect(screen.queryByTestId('verdict')).toBeNull();
  });

  it('given once more after a power cut names no note that is not there', async () => {
    await open();
    await scan('DEMO:ok:resumed');
    const view = screen.getByTestId('verdict');
    expect(view.dataset['tone']).toBe('attention');
    expect(view.textContent).toContain(en['reason.repeated.resumed']);
    expect(view.textContent).toContain(en['next.resumed']);
    expect(view.textContent).not.toContain(en['next.look']);
  });

  it('takes away what was wrong with a picture before', async () => {
    await open();
    const input = document.querySelector<HTMLInputElement>('input[type=file]')!;
    // No picture can be opened here.
    await fireEvent.change(input, { target: { files: [new File(['words'], 'words.png', { type: 'image/png' })] } });
    await settle();
    screen.getByText(en['scan.unreadable']);
    await scan('HV1:A');
    await settle(gate.settings.ok_ms);
    expect(screen.queryByTestId('verdict')).toBeNull();
    expect(screen.queryByText(en['scan.unreadable'])).toBeNull();
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
    await settle(100);
    expect(gate.scanning.checking).toBe(false);
    await settle(200);
    expect(gate.scanning.checking).toBe(true);
    await settle(700);
    expect(order).toEqual(['ask HV1:slow', 'answer HV1:slow', 'ask HV1:fast', 'answer HV1:fast']);
    expect(gate.scanning.checking).toBe(false);
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
