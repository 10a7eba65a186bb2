/** Every screen of the window, each as one click or one address: `?scenario=verdict-used&lang=de`. */
import { OUTCOMES, type Trouble } from '../lib/contract';
import type { Gate } from '../lib/gate.svelte';
import { type MockApp, PIN, SUPERVISOR } from '../lib/mock';

export interface Scenario {
  /** Before the window starts. */
  prepare?: (app: MockApp) => void;
  /** Once it stands. */
  play?: (gate: Gate, app: MockApp) => Promise<void> | void;
}

const HOUR = 3_600_000;

function scan(...texts: string[]): Scenario {
  return {
    play: async (gate) => {
      for (const text of texts) await gate.scanning.scan(text, 'reader');
      gate.scanning.hold();
    },
  };
}

function evening(app: MockApp): void {
  const texts = ['DEMO:ok:named', 'HV1:A', 'DEMO:revoked', 'HV1:B', 'DEMO:ok:student', 'HV1:C', 'HV1:A', 'DEMO:not_yet_valid', 'HV1:D'];
  for (const text of texts) app.verdict(text);
  app.verdict('DEMO:superseded', 'Identity checked');
  app.log.forEach((line, i) => (line.scanned_at = app.at(-i * 41_000 - 7000)));
}

function unlock(gate: Gate): Promise<void> {
  return gate.bridge.call('unlock', { staff: SUPERVISOR, pin: PIN }).then((supervision) => {
    gate.supervision = supervision;
  });
}

function tab(name: string): Scenario {
  return {
    prepare: evening,
    play: async (gate, app) => {
      await gate.scanning.scan('DEMO:already_admitted', 'reader');
      gate.scanning.dismiss();
      fill(app);
      await unlock(gate);
      gate.screen = 'supervisor';
      await new Promise((done) => setTimeout(done, 50));
      document.getElementById(`tab-${name}`)?.click();
    },
  };
}

function fill(app: MockApp): void {
  const device = '0197d000-0000-7000-8000-000000000002';
  const ticket = '0198aaaa-0000-7000-8000-0000000000ff';
  const [north, south] = ['0197b000-0000-7000-8000-000000000001', '0197b000-0000-7000-8000-000000000002'];
  const side = { error_ms: 400, staff: null, undone: false };
  app.incidents = [
    {
      kind: 'double_admission', list: app.state.post?.list ?? '', list_name: 'Main entrance', ticket, ticket_type_name: 'Weekend pass', status: 'open',
      sides: [
        { ...side, place: { device, log_no: 1, seq: 88 }, device_label: 'Gate tablet 1', at: app.at(-42 * 60_000), gate: south, knew: false },
        { ...side, place: { device: app.status.status.device_id, log_no: 1, seq: 140 }, device_label: 'Gate tablet 3', at: app.at(-11 * 60_000), gate: north, knew: false },
      ],
    },
    { kind: 'forked_log', device, device_label: 'Gate tablet 7', log_no: 1, places: [{ seq: 12, hashes: ['a', 'b'] }] },
  ];
  app.quarantine = [{ device, device_label: 'Gate tablet 7', revoked_after: { log_no: 1, seq: 40 }, entries: 6, last_at: app.at(-25 * 60_000) }];
  const first = { at: app.at(-35 * 60_000), gate: north, device };
  app.hits = [
    { ticket_id: ticket, ticket_type_name: 'Weekend pass', state: 'valid', name: 'Demo Guest', booking: 'HL-20417', first_admission: first, inside: true },
    { ticket_id: `${ticket.slice(0, -2)}01`, ticket_type_name: 'Student, Saturday', state: 'valid', name: 'Demo Guest (2)', booking: 'HL-20417', first_admission: null, inside: false },
    { ticket_id: `${ticket.slice(0, -2)}02`, ticket_type_name: 'Weekend pass', state: 'refunded', name: 'Demo Guest (3)', booking: 'HL-20418', first_admission: null, inside: false },
  ];
  app.setStatus((s) => (s.status.fold.incidents = 2));
}

function trouble(of: (app: MockApp) => Trouble): Scenario {
  return { prepare: (app) => (app.state = { ...app.state, trouble: of(app) }) };
}

const path = '/var/lib/hvflvspot-gate';

export const SCENARIOS: Record<string, Scenario> = {
  ready: {},
  'scan-evening': {
    play: async (gate) => {
      for (const text of ['HV1:A', 'DEMO:ok:student', 'HV1:B', 'HV1:A', 'DEMO:superseded', 'HV1:C']) await gate.scanning.scan(text, 'reader');
      gate.scanning.dismiss();
    },
  },
  exit: { prepare: (app) => (app.state = { ...app.state, post: { ...app.state.post!, direction: 'out' } }) },
  'exit-ok': {
    prepare: (app) => (app.state = { ...app.state, post: { ...app.state.post!, direction: 'out' } }),
    play: (gate) => scan('HV1:OUT').play?.(gate, gate.bridge as MockApp),
  },
  'exit-look': {
    prepare: (app) => (app.state = { ...app.state, post: { ...app.state.post!, direction: 'out' } }),
    play: (gate) => scan('DEMO:revoked').play?.(gate, gate.bridge as MockApp),
  },
  offline: {
    prepare: (app) =>
      app.setStatus((s) => {
        s.status.online = false;
        s.status.queue.unsent = 148;
        s.status.manifest!.as_of = app.at(-26 * HOUR);
        s.status.manifest!.fresh_until = app.at(-2 * HOUR);
        s.status.clock.uncertainty_ms = 600_000;
        s.status.last_sync_at = app.at(-3 * HOUR);
        s.status.fold.incidents = 1;
      }),
  },
  rehearsal: {
    prepare: (app) => (app.state = { ...app.state, post: { ...app.state.post!, rehearsal: true } }),
    play: (gate) => scan('HV1:A').play?.(gate, gate.bridge as MockApp),
  },
  ...Object.fromEntries(OUTCOMES.map((outcome) => [`verdict-${outcome}`, scan(`DEMO:${outcome}${outcome === 'ok' ? ':named' : ''}`)])),
  'verdict-attention': scan('DEMO:ok:student:named:late_sale'),
  'verdict-fading': { play: (gate) => gate.scanning.scan('DEMO:ok:named', 'reader') },
  'verdict-rule-broken': scan('DEMO:rules:broken'),
  'verdict-resumed': scan('DEMO:ok:resumed'),
  pin: { play: (gate) => void (gate.screen = 'supervisor') },
  'pin-dialog': {
    play: async (gate) => {
      await gate.scanning.scan('DEMO:already_admitted', 'reader');
      gate.scanning.hold();
      gate.supervised(() => undefined);
    },
  },
  'supervisor-last': tab('last'),
  'supervisor-search': {
    ...tab('search'),
    play: async (gate, app) => {
      await tab('search').play?.(gate, app);
      const field = document.querySelector<HTMLInputElement>('#panel input');
      if (!field) return;
      field.value = 'demo';
      field.dispatchEvent(new Event('input', { bubbles: true }));
      document.querySelector<HTMLButtonElement>('#panel button[type=submit]')?.click();
    },
  },
  'supervisor-incidents': tab('incidents'),
  'supervisor-quarantine': tab('quarantine'),
  'supervisor-device': tab('device'),
  'supervisor-nobody': {
    prepare: (app) => {
      evening(app);
      const [first, ...others] = app.state.enrolments;
      app.state = { ...app.state, enrolments: [{ ...first!, stewards: first!.stewards.filter((s) => !s.supervisor) }, ...others] };
    },
    play: (gate) => void (gate.screen = 'supervisor'),
  },
  override: {
    play: async (gate) => {
      await unlock(gate);
      await gate.scanning.scan('DEMO:superseded', 'reader');
      window.dispatchEvent(new KeyboardEvent('keydown', { key: 'F9', code: 'F9' }));
    },
  },
  history: { prepare: evening, play: (gate) => void (gate.screen = 'history') },
  settings: { play: (gate) => void (gate.screen = 'settings') },
  camera: { play: () => document.querySelector<HTMLButtonElement>('.ways button')?.click() },
  enrol: { prepare: (app) => (app.state = { ...app.state, enrolments: [], post: null }) },
  'enrol-camera': {
    prepare: (app) => (app.state = { ...app.state, enrolments: [], post: null }),
    play: () => document.querySelector<HTMLButtonElement>('form .row button')?.click(),
  },
  'enrol-digits': {
    prepare: (app) => (app.state = { ...app.state, enrolments: [], post: null }),
    play: (gate) => gate.takeText?.('https://tickets.example.org/gates/enroll#1.demo'),
  },
  'enrol-name': {
    prepare: (app) => (app.state = { ...app.state, enrolments: [], post: null }),
    play: async (gate, app) => {
      gate.takeText?.('https://tickets.example.org/gates/enroll#1.demo');
      await new Promise((done) => setTimeout(done, 50));
      app.emit('enrolment', { state: 'done', device_id: app.status.status.device_id, label: 'Gate tablet 3', number: 3 });
    },
  },
  post: { prepare: (app) => (app.state = { ...app.state, post: null }) },
  'first-sync': {
    prepare: (app) => {
      const [first] = app.state.enrolments;
      app.state = { ...app.state, post: null, enrolments: [{ ...first!, lists: [], gates: [], stewards: [] }] };
    },
    play: (_, app) => app.emit('sync', { phase: 'downloading', done: 61_240, of: 100_000, first: true }),
  },
  kiosk: { prepare: (app) => (app.state = { ...app.state, kiosk: true }) },
  'kiosk-camera': {
    prepare: (app) => (app.state = { ...app.state, kiosk: true, settings: { ...app.state.settings, kiosk_camera: true } }),
  },
  'kiosk-ok': {
    prepare: (app) => (app.state = { ...app.state, kiosk: true }),
    play: (gate) => scan('HV1:A').play?.(gate, gate.bridge as MockApp),
  },
  'kiosk-refused': {
    prepare: (app) => (app.state = { ...app.state, kiosk: true }),
    play: (gate) => scan('DEMO:blocked').play?.(gate, gate.bridge as MockApp),
  },
  interrupted: {
    prepare: (app) => (app.state = { ...app.state, interrupted: { scanned_at: app.at(-48_000), outcome: 'ok', ticket_type_name: 'Weekend pass' } }),
  },
  'trouble-disk_full': trouble(() => ({ kind: 'disk_full', path, free_bytes: 2_400_000 })),
  'trouble-disk_read_only': trouble(() => ({ kind: 'disk_read_only', path })),
  'trouble-disk_error': trouble(() => ({ kind: 'disk_error', path, detail: 'disk I/O error (extended code 4874)' })),
  'trouble-database_damaged': trouble(() => ({ kind: 'database_damaged', black_box: 412 })),
  'trouble-database_repaired': trouble(() => ({ kind: 'database_repaired', kept_as: `${path}/gate.sqlite.damaged-1`, black_box: 412 })),
  'trouble-database_repaired-empty': {
    prepare: (app) => {
      const [first, ...others] = app.state.enrolments;
      const trouble: Trouble = { kind: 'database_repaired', kept_as: `${path}/gate.sqlite.damaged-1`, black_box: 0 };
      app.state = { ...app.state, enrolments: [{ ...first!, lists: [] }, ...others], trouble };
    },
  },
  'trouble-database_lost-other': {
    prepare: (app) => {
      const trouble: Trouble = { kind: 'database_lost', kept_as: `${path}/gate.sqlite.damaged-1`, black_box: 1 };
      app.state = { ...app.state, enrolments: app.state.enrolments.slice(1), post: null, trouble };
    },
  },
  'trouble-database_lost': {
    prepare: (app) =>
      (app.state = {
        ...app.state,
        enrolments: [],
        post: null,
        trouble: { kind: 'database_lost', kept_as: `${path}/gate.sqlite.damaged-1`, black_box: 412 },
      }),
  },
  'trouble-database_newer': trouble(() => ({ kind: 'database_newer', found: 3, known: 1 })),
  'trouble-clock_wrong': trouble(() => ({ kind: 'clock_wrong', offset_ms: 3 * HOUR })),
  'trouble-revoked': trouble(() => ({ kind: 'revoked', unsent: 12, wiped: false })),
  'trouble-revoked-wiped': {
    prepare: (app) => {
      const [first, ...others] = app.state.enrolments;
      const wiped = { ...first!, state: 'revoked' as const, title: null, lists: [], gates: [], stewards: [] };
      app.state = { ...app.state, enrolments: [wiped, ...others], trouble: { kind: 'revoked', unsent: 0, wiped: true } };
    },
  },
  'kiosk-nobody': {
    prepare: (app) => {
      const [first, ...others] = app.state.enrolments;
      app.state = { ...app.state, kiosk: true, enrolments: [{ ...first!, stewards: [] }, ...others] };
    },
    play: () => document.querySelector<HTMLButtonElement>('.staff')?.click(),
  },
  'trouble-manifest_expired': trouble((app) => ({ kind: 'manifest_expired', since: app.at(-2 * HOUR) })),
  'trouble-manifest_unusable': trouble(() => ({ kind: 'manifest_unusable', detail: 'the stored manifest is not signed' })),
};
