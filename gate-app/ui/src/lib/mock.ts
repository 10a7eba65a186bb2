/**
 * A stand-in for the app, for tests and the demonstration; never part of the product (tests/build.test.ts). It obeys
 * the contract far enough that every screen can be seen: a code works once, an undo takes it back, a wrong PIN counts.
 * What a code does stands in it: `DEMO:revoked` is refused as revoked, `DEMO:ok:late_sale` is an ok with that flag.
 */
import type { Bridge } from './bridge';
import {
  type AnswerOf,
  type AppState,
  type ArgsOf,
  type CommandError,
  type CommandName,
  type Commands,
  type Enrolment,
  type EntryKind,
  type ErrorCode,
  type EventName,
  type Events,
  type Flag,
  FLAGS,
  type Hit,
  type HistoryFilter,
  type Incident,
  type LogLine,
  type Outcome,
  OUTCOMES,
  type Place,
  type QuarantineNote,
  type Reason,
  type Trouble,
  type Verdict,
  type WindowStatus,
} from './contract';
import { DEFAULT_SETTINGS } from './gate.svelte';

/** Found in a build that holds this file. */
export const MOCK_MARK = 'HVFLVSPOT-DEMONSTRATION-ONLY';

export const PIN = '2468';
const WRONG_TRIES = 5;
const MINUTE = 60_000;
const HASH = 'c0ffee'.repeat(10) + 'c0ff';

const LIST = '0197a000-0000-7000-8000-000000000001';
const BACKSTAGE = '0197a000-0000-7000-8000-000000000002';
const NORTH = '0197b000-0000-7000-8000-000000000001';
const SOUTH = '0197b000-0000-7000-8000-000000000002';
export const DEVICE = '0197d000-0000-7000-8000-000000000001';
const OTHER_DEVICE = '0197d000-0000-7000-8000-000000000002';
export const SUPERVISOR = '0197e000-0000-7000-8000-000000000001';
export const STEWARD = '0197e000-0000-7000-8000-000000000002';

export const ENROLMENT: Enrolment = {
  device_id: DEVICE,
  event: '0197f000-0000-7000-8000-000000000001',
  label: 'Gate tablet 3',
  local_name: 'North door, left',
  number: 3,
  origin: 'https://tickets.example.org',
  state: 'active',
  capabilities: ['scan', 'box_office'],
  title: 'Harbour Lights Festival',
  time_zone: 'Europe/Berlin',
  starts_at: '2026-11-21T18:00:00Z',
  lists: [
    { id: LIST, name: 'Main entrance', attendance: true, multiple_entry: false, reentry_after_exit: true },
    { id: BACKSTAGE, name: 'Backstage', attendance: false, multiple_entry: true, reentry_after_exit: false },
  ],
  gates: [
    { id: NORTH, name: 'North gate' },
    { id: SOUTH, name: 'South gate' },
  ],
  stewards: [
    { id: SUPERVISOR, label: 'Shift lead', supervisor: true },
    { id: STEWARD, label: 'Door 1', supervisor: false },
  ],
};

const SECOND: Enrolment = {
  ...ENROLMENT,
  device_id: OTHER_DEVICE,
  event: '0197f000-0000-7000-8000-000000000002',
  label: 'Gate tablet 3',
  local_name: null,
  number: 1,
  title: 'Matinee at the Old Mill',
  starts_at: '2026-11-22T10:00:00Z',
  gates: [{ id: SOUTH, name: 'Mill door' }],
};

type Handlers = { [K in CommandName]: (...args: ArgsOf<K>) => AnswerOf<K> | Promise<AnswerOf<K>> };

export class MockApp implements Bridge {
  readonly mark = MOCK_MARK;
  /** Every call, for tests. */
  readonly calls: { command: CommandName; args: unknown }[] = [];
  state: AppState;
  status: WindowStatus;
  log: LogLine[] = [];
  incidents: Incident[] = [];
  quarantine: QuarantineNote[] = [];
  hits: Hit[] = [];
  /** Answers to pictures, in turn. */
  frames: (string | null)[] = [];
  /** Replaces what a command does. */
  readonly instead: Partial<Handlers> = {};
  readonly #ears = new Map<EventName, Set<(payload: never) => void>>();
  readonly #now: () => number;
  readonly #inside = new Map<string, { at: string; place: Place }>();
  readonly #texts = new Map<string, string>();
  #wrong = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.state = {
      version: '0.1.0',
      enrolments: [ENROLMENT, SECOND],
      post: { device_id: DEVICE, list: LIST, gate: NORTH, direction: 'in', rehearsal: false },
      settings: { ...DEFAULT_SETTINGS },
      kiosk: false,
      supervision: null,
      interrupted: null,
      trouble: null,
    };
    this.status = {
      now: this.at(),
      counts: { admitted: 1284, on_site: 1197, entries: 1391, expected: 3500 },
      status: {
        device_id: DEVICE,
        event: ENROLMENT.event,
        state: 'active',
        manifest: {
          root_version: 1,
          epoch: 1,
          change_seq: 4711,
          as_of: this.at(-6 * MINUTE),
          fresh_until: this.at(18 * 60 * MINUTE),
          hard_until: this.at(66 * 60 * MINUTE),
          tickets: 3612,
        },
        queue: { unsent: 0, acknowledged_seq: 212, last_seq: 212 },
        clock: { offset_ms: 120, uncertainty_ms: 40 },
        last_sync_at: this.at(-40_000),
        online: true,
        problem: null,
        fold: { on_site: 1197, incidents: 0, hash: HASH },
      },
    };
  }

  /** Now and so many milliseconds. */
  at(ms = 0): string {
    return new Date(this.#now() + ms).toISOString();
  }

  async call<K extends CommandName>(command: K, ...args: ArgsOf<K>): Promise<AnswerOf<K>> {
    this.calls.push({ command, args: args[0] });
    const handler = (this.instead[command] ?? this.#handlers[command]) as (...a: ArgsOf<K>) => AnswerOf<K>;
    return handler(...args);
  }

  listen<E extends EventName>(event: E, hear: (payload: Events[E]) => void): () => void {
    const ears = this.#ears.get(event) ?? new Set();
    this.#ears.set(event, ears.add(hear as (payload: never) => void));
    return () => ears.delete(hear as (payload: never) => void);
  }

  emit<E extends EventName>(event: E, payload: Events[E]): void {
    for (const hear of this.#ears.get(event) ?? []) (hear as (payload: Events[E]) => void)(payload);
  }

  setStatus(change: (status: WindowStatus) => void): void {
    const next = structuredClone(this.status);
    change(next);
    next.now = this.at();
    this.status = next;
    this.emit('status', next);
  }

  setTrouble(trouble: Trouble | null): void {
    this.state = { ...this.state, trouble };
    this.emit('trouble', trouble);
  }

  /** A verdict of the kind that a text asks for. */
  verdict(text: string, override: string | null = null): Verdict {
    const direction = this.state.post?.direction ?? 'in';
    const [mark, word = '', ...extras] = text.split(':');
    const wanted: Outcome = mark === 'DEMO' && OUTCOMES.includes(word as Outcome) ? (word as Outcome) : 'ok';
    const before = this.#inside.get(text);
    let outcome: Outcome = wanted === 'ok' && before && direction === 'in' ? 'already_admitted' : wanted;
    const flags: Flag[] = extras.filter((extra): extra is Flag => FLAGS.includes(extra as Flag));
    const readable = !['malformed', 'unknown_key', 'bad_signature', 'wrong_event', 'cannot_record'].includes(outcome);
    const first = { at: before?.at ?? this.at(-47 * MINUTE), gate: SOUTH, device: OTHER_DEVICE };
    let reason = this.#reason(outcome, extras, first);
    let kind: EntryKind = outcome !== 'ok' ? 'refuse' : direction === 'out' ? 'exit' : 'entry';
    if (outcome !== 'ok' && readable && (direction === 'out' || override !== null)) {
      if (direction === 'in' || outcome !== 'already_admitted') flags.push(outcome as Flag);
      reason = override === null ? { kind: 'let_out', defect: reason } : { kind: 'overridden', defect: reason };
      kind = override === null ? 'exit' : 'override';
      if (override !== null) flags.push('overridden');
      outcome = 'ok';
    } else if (kind === 'exit') reason = { kind: 'let_out', defect: null };
    if (this.state.post?.rehearsal) flags.push('rehearsal');
    if (extras.includes('resumed')) reason = { kind: 'repeated', resumed: true };
    const seq = this.status.status.queue.last_seq + 1;
    const recorded = outcome !== 'cannot_record';
    const verdict: Verdict = {
      answer: {
        code_sha256: HASH,
        outcome,
        flags,
        kind,
        ticket_id: readable ? ticketOf(text) : null,
        ticket_type: readable ? '0197c000-0000-7000-8000-000000000001' : null,
        list: this.state.post?.list ?? LIST,
        scanned_at: this.at(),
        log_no: recorded ? 1 : null,
        seq: recorded ? seq : null,
        first_admission: wanted === 'already_admitted' || before ? first : null,
        explanation: 'Demonstration.',
      },
      reason,
      ticket_type_name: readable ? (extras.includes('student') ? 'Student, Saturday' : 'Weekend pass') : null,
      attention: extras.includes('student') ? 'Check the student card' : null,
      guest: extras.includes('named') ? { name: 'Demo Guest', note: null, born_on: null, answers: [{ label: 'Wheelchair', value: true }] } : null,
      manifest_age_secs: 360,
      uncertainty_ms: 40,
    };
    if (recorded) this.#record(text, verdict, override);
    return verdict;
  }

  #record(text: string, { answer, ticket_type_name }: Verdict, reason: string | null): void {
    const place = { log_no: 1, seq: answer.seq ?? 0 };
    const counts = answer.outcome === 'ok' && !this.state.post?.rehearsal;
    if (counts && answer.kind !== 'exit') this.#inside.set(text, { at: answer.scanned_at, place });
    if (counts && answer.kind === 'exit') this.#inside.delete(text);
    this.#texts.set(`1:${place.seq}`, text);
    this.log.unshift(this.line({ ...answer, ...place, ticket_type_name, reason, rehearsal: this.state.post?.rehearsal ?? false }));
    this.setStatus((s) => {
      s.status.queue.last_seq++;
      if (!s.status.online) s.status.queue.unsent++;
      if (counts && answer.kind === 'entry') {
        s.counts.admitted++;
        s.counts.on_site++;
      }
    });
  }

  /** A line of the log. */
  line(of: Partial<LogLine>): LogLine {
    return {
      log_no: 1,
      seq: 1,
      hash: HASH,
      kind: 'entry',
      outcome: 'ok',
      flags: [],
      list: LIST,
      ticket_id: ticketOf(String(of.seq ?? 1)),
      ticket_type_name: 'Weekend pass',
      code_sha256: HASH,
      direction: of.kind === 'exit' ? 'out' : 'in',
      gate: NORTH,
      staff: null,
      reason: null,
      target: null,
      rehearsal: false,
      scanned_at: this.at(),
      error_ms: 40,
      acknowledged: this.status.status.online,
      undone: false,
      ...of,
    };
  }

  #reason(outcome: Outcome, extras: string[], first: { at: string; gate: string; device: string }): Reason {
    switch (outcome) {
      case 'ok':
        return { kind: 'admitted' };
      case 'unknown_ticket':
        return { kind: 'unknown_ticket', because: 'not_in_manifest' };
      case 'revoked':
        return { kind: 'revoked', state: 'refunded' };
      case 'superseded':
        return { kind: 'superseded', code: 1, current: 2 };
      case 'not_yet_valid':
        return { kind: 'not_yet_valid', from: this.at(50 * MINUTE) };
      case 'expired':
        return { kind: 'expired', since: this.at(-26 * 60 * MINUTE) };
      case 'rules':
        return extras.includes('broken')
          ? { kind: 'rule_broken', why: 'unknown gate' }
          : { kind: 'rule', nearest: { kind: 'from', at: this.at(20 * MINUTE) } };
      case 'already_admitted':
        return { kind: 'already_admitted', first };
      case 'stale_manifest':
        return { kind: 'stale_manifest', since: this.at(-90 * MINUTE) };
      default:
        return { kind: outcome };
    }
  }

  /** As the core: where the event names no supervisor nobody is asked for a PIN, except for what only one may do. */
  #supervised(always = false): void {
    const { supervision, enrolments, post } = this.state;
    const stewards = enrolments.find((e) => e.device_id === post?.device_id)?.stewards ?? [];
    if (!stewards.some((s) => s.supervisor)) {
      if (always) throw refusal('locked');
      return;
    }
    if (!supervision || Date.parse(supervision.until) <= this.#now()) throw refusal('locked');
    if (!supervision.supervisor) throw refusal('not_supervisor');
  }

  #checkPin(staff: string, pin: string): AppState['supervision'] & object {
    if (this.#wrong >= WRONG_TRIES) throw refusal('pin_locked', { secs: 300 });
    if (pin !== PIN) {
      this.#wrong++;
      throw refusal('wrong_pin', { count: WRONG_TRIES - this.#wrong });
    }
    this.#wrong = 0;
    const who = ENROLMENT.stewards.find((s) => s.id === staff);
    const until = this.at(this.state.settings.auto_lock_secs * 1000);
    return { staff, label: who?.label ?? '', supervisor: who?.supervisor ?? false, until };
  }

  #matching({ show, text }: HistoryFilter): LogLine[] {
    const wanted = text.toLowerCase();
    const shows: Record<HistoryFilter['show'], (line: LogLine) => boolean> = {
      all: () => true,
      admitted: (l) => l.outcome === 'ok' && (l.kind === 'entry' || l.kind === 'exit' || l.kind === 'override'),
      refused: (l) => l.kind === 'refuse',
      supervised: (l) => l.kind === 'override' || l.kind === 'undo',
      unsent: (l) => !l.acknowledged,
    };
    return this.log.filter(
      (l) => shows[show](l) && [l.ticket_id, l.ticket_type_name, l.reason].some((part) => (part ?? '').toLowerCase().includes(wanted)),
    );
  }

  readonly #handlers: { [K in CommandName]: (...args: Parameters<Commands[K]>) => AnswerOf<K> } = {
    app_state: () => this.state,
    status: () => (this.state.post ? { ...this.status, now: this.at() } : null),
    sync_now: () => {
      this.setStatus((s) => {
        s.status.queue.unsent = 0;
        s.status.last_sync_at = this.at();
      });
    },
    enrol_begin: ({ invitation, server }) => {
      if (server === null && !invitation.includes('://')) throw refusal('invalid_link');
      if (server !== null && !/^[0-9A-Za-z]{4}-?[0-9A-Za-z]{4}$/.test(invitation)) throw refusal('invalid_code');
      return { digits: '407215', origin: 'https://tickets.example.org' };
    },
    enrol_cancel: () => undefined,
    read_frame: () => ({ text: this.frames.shift() ?? null }),
    name_device: () => undefined,
    set_post: ({ post }) => {
      if (post.rehearsal !== (this.state.post?.rehearsal ?? false)) this.#supervised();
      const moved = post.device_id !== this.state.post?.device_id;
      const trouble = moved && this.state.trouble?.kind === 'revoked' ? null : this.state.trouble;
      this.state = { ...this.state, post, trouble };
      return this.state;
    },
    set_settings: ({ settings }) => {
      this.state = { ...this.state, settings };
    },
    scan_text: ({ text }) => this.verdict(text),
    scan_frame: () => {
      const text = this.frames.shift();
      return text ? { found: 'scan', verdict: this.verdict(text) } : { found: 'nothing' };
    },
    scan_shown: () => undefined,
    interrupted_seen: () => {
      this.state = { ...this.state, interrupted: null };
    },
    unlock: ({ staff, pin }) => {
      const supervision = this.#checkPin(staff, pin);
      this.state = { ...this.state, supervision };
      return supervision;
    },
    lock: () => {
      this.state = { ...this.state, supervision: null };
    },
    keep_unlocked: () => {
      const { supervision, settings } = this.state;
      if (!supervision || Date.parse(supervision.until) <= this.#now()) return null;
      const kept = { ...supervision, until: this.at(settings.auto_lock_secs * 1000) };
      this.state = { ...this.state, supervision: kept };
      return kept;
    },
    override_scan: ({ place, reason }) => {
      this.#supervised(true);
      const text = this.#texts.get(`${place.log_no}:${place.seq}`);
      if (text === undefined) throw refusal('nothing_to_override');
      return this.verdict(text, reason);
    },
    undo: ({ place, reason }) => {
      this.#supervised();
      const line = this.log.find((l) => l.seq === place.seq && l.log_no === place.log_no);
      if (!line) throw refusal('no_entry');
      if (line.undone) throw refusal('already_undone');
      line.undone = true;
      const seq = this.status.status.queue.last_seq + 1;
      this.log.unshift(this.line({ seq, kind: 'undo', reason, target: place, ticket_type_name: line.ticket_type_name }));
      const text = this.#texts.get(`${place.log_no}:${place.seq}`);
      if (text !== undefined) this.#inside.delete(text);
      this.setStatus((s) => void s.status.queue.last_seq++);
      return { log_no: 1, seq };
    },
    search: ({ text }) => {
      this.#supervised();
      return this.hits.filter((hit) => `${hit.name} ${hit.booking} ${hit.ticket_id}`.toLowerCase().includes(text.toLowerCase()));
    },
    incidents: () => {
      this.#supervised();
      return this.incidents;
    },
    quarantine: () => {
      this.#supervised();
      return this.quarantine;
    },
    leave: () => {
      const { trouble } = this.state;
      const wiped = trouble?.kind === 'revoked' && trouble.wiped;
      if (!wiped) this.#supervised();
      const { unsent } = this.status.status.queue;
      if (unsent > 0) throw refusal('unsent_entries', { count: unsent });
      this.state = { ...this.state, enrolments: [SECOND], post: null, supervision: null, trouble: wiped ? null : trouble };
      return this.state;
    },
    history: ({ filter, before, limit }) => {
      const all = this.#matching(filter);
      const from = before ? all.findIndex((l) => l.seq === before.seq) + 1 : 0;
      const lines = all.slice(from, from + limit);
      const last = lines.at(-1);
      return { lines, total: all.length, next: last && from + limit < all.length ? { log_no: last.log_no, seq: last.seq } : null };
    },
    export_history: ({ filter }) => ({ saved_as: 'history.csv', lines: this.#matching(filter).length }),
    kiosk_enter: () => {
      this.#supervised(true);
      this.state = { ...this.state, kiosk: true };
    },
    kiosk_leave: ({ staff, pin }) => {
      const { enrolments, post } = this.state;
      const stewards = enrolments.find((e) => e.device_id === post?.device_id)?.stewards ?? [];
      if (staff !== null) this.#checkPin(staff, pin);
      else if (stewards.length > 0) throw refusal('locked');
      this.state = { ...this.state, kiosk: false };
    },
    trouble_retry: () => this.state.trouble,
  };
}

/** A failure as the app words it. */
export function refusal(code: ErrorCode, more: Partial<CommandError> = {}): CommandError {
  return { code, detail: code, ...more };
}

/** Always the same id for a text. */
function ticketOf(text: string): string {
  let sum = 7;
  for (const character of text) sum = (sum * 31 + character.charCodeAt(0)) % 0xffffffffffff;
  return `0198aaaa-0000-7000-8000-${sum.toString(16).padStart(12, '0')}`;
}
