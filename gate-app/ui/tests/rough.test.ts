/** Hard days, enrolling, and guests on their own. */
import { cleanup, fireEvent, screen, within } from '@testing-library/svelte';
import { beforeEach, describe, expect, it } from 'vitest';
import { LANGUAGES, type Trouble } from '../src/lib/contract';
import { I18n } from '../src/lib/i18n/index.svelte';
import { DEVICE, MockApp, PIN, SUPERVISOR } from '../src/lib/mock';
import { advise } from '../src/lib/trouble';
import { app, bar, called, click, en, enterPin, gate, open, scan, settle } from './window';

describe('hard days', () => {
  const path = '/data';
  const TROUBLES: [Trouble, boolean][] = [
    [{ kind: 'disk_full', path, free_bytes: 2_400_000 }, true],
    [{ kind: 'disk_read_only', path }, true],
    [{ kind: 'disk_error', path, detail: 'I/O error' }, true],
    [{ kind: 'database_damaged', black_box: 412 }, true],
    [{ kind: 'database_lost', kept_as: '/data/gate.sqlite.damaged-1', black_box: 412 }, true],
    [{ kind: 'database_newer', found: 3, known: 1 }, true],
    [{ kind: 'clock_wrong', offset_ms: 3_600_000 }, false],
    [{ kind: 'revoked', unsent: 12, wiped: false }, true],
    [{ kind: 'revoked', unsent: 0, wiped: false }, true],
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

  it('a repaired database stands in nobody’s way, and one press goes on', async () => {
    app.state = { ...app.state, trouble: { kind: 'database_repaired', kept_as: '/data/gate.sqlite.damaged-1', black_box: 1 } };
    app.instead.trouble_retry = () => null;
    await open();
    const view = screen.getByTestId('trouble');
    expect(advise(app.state.trouble!, gate.i18n, gate.now).blocks).toBe(false);
    expect(view.textContent).toContain('holds 1 scan.');
    expect(view.textContent).toContain('/data/gate.sqlite.damaged-1');
    expect(within(view).getAllByRole('button').map((button) => button.textContent?.trim())).toEqual([en['common.continue']]);
    await click(en['common.continue']);
    expect(screen.queryByTestId('trouble')).toBeNull();
  });

  it('a repaired database without a manifest fetches it before anybody goes on', async () => {
    const [first, ...others] = app.state.enrolments;
    const trouble: Trouble = { kind: 'database_repaired', kept_as: '/data/gate.sqlite.damaged-1', black_box: 0 };
    app.state = { ...app.state, enrolments: [{ ...first!, lists: [] }, ...others], trouble };
    await open();
    const view = screen.getByTestId('trouble');
    expect(view.textContent).toContain(en['sync.first.title']);
    expect(view.textContent).not.toContain('0 scans');
  });

  it('a lost database leaves this machine’s other events', async () => {
    const [, second] = app.state.enrolments;
    const trouble: Trouble = { kind: 'database_lost', kept_as: '/data/gate.sqlite.damaged-1', black_box: 0 };
    app.state = { ...app.state, enrolments: [second!], post: null, trouble };
    await open();
    expect(screen.getByTestId('trouble').textContent).not.toContain('0 scans');
    await click(en['device.post']);
    expect(document.querySelector('input[name=event]')).not.toBeNull();
  });

  it('nothing is left to be sent, and it is not called 0 scans', async () => {
    app.state = { ...app.state, trouble: { kind: 'revoked', unsent: 0, wiped: false } };
    await open();
    expect(screen.getByTestId('trouble').textContent).toContain(en['trouble.revoked.sent']);
    expect(screen.getByTestId('trouble').textContent).not.toContain('0 scans');
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

    it('names nothing in the bar that it knows only by number any more', async () => {
      revoke(false);
      await open();
      expect(bar()!.textContent).toContain(gate.listName);
      cleanup();
      revoke(true);
      await open();
      expect(bar()!.querySelector('.post')).toBeNull();
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

  it('says at once that it cannot let anybody in without a manifest', async () => {
    const [first, ...others] = app.state.enrolments;
    app.state = { ...app.state, kiosk: true, enrolments: [{ ...first!, lists: [] }, ...others] };
    await open();
    expect(document.body.textContent).toContain(en['kiosk.refused']);
  });

  it('invites nobody while nobody can be let in', async () => {
    app.state = { ...app.state, kiosk: true, trouble: { kind: 'disk_full', path: '/data', free_bytes: 0 } };
    await open();
    expect(document.querySelector('main')?.dataset['tone']).toBe('refused');
    expect(document.body.textContent).toContain(en['kiosk.refused']);
    expect(document.body.textContent).not.toContain(en['kiosk.scan']);
  });
});
