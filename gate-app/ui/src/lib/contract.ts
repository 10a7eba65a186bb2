/**
 * What the window asks of the app, what it is told, in which shapes. Written by hand until the Rust side exists; then
 * generated from it (docs/decisions/0026-gate-app-window.md). Words and fields that gate-core and shared have already
 * are theirs: `Outcome`, `Flag`, `EntryKind`, `Answer`, `Status`, `LogLine`, `Incident`, `Reason`.
 *
 * Conventions: snake_case as in Rust's JSON; moments are RFC 3339 in UTC; durations carry their unit in the name; an
 * absent value is `null`. A command either answers or fails with a [`CommandError`].
 */

// ---------------------------------------------------------------------------------------------------------------------
// Words

/** In order of precedence after `ok`: the first defect is the outcome. */
export const OUTCOMES = [
  'ok',
  'malformed',
  'unknown_key',
  'bad_signature',
  'wrong_event',
  'unknown_ticket',
  'revoked',
  'superseded',
  'blocked',
  'not_yet_valid',
  'expired',
  'product',
  'rules',
  'already_admitted',
  'stale_manifest',
  'cannot_record',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Remarks beside an outcome; those from `unknown_ticket` on note a defect beside an `ok` (exit, override). */
export const FLAGS = [
  'late_sale',
  'late_reissue',
  'stale_warning',
  'resumed',
  'clock_doubt',
  'overridden',
  'quarantined_repeat',
  'rehearsal',
  'unknown_ticket',
  'revoked',
  'superseded',
  'blocked',
  'not_yet_valid',
  'expired',
  'product',
  'rules',
  'already_admitted',
  'stale_manifest',
] as const;
export type Flag = (typeof FLAGS)[number];

export const ENTRY_KINDS = ['entry', 'exit', 'refuse', 'override', 'undo', 'fork'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export const LANGUAGES = ['en', 'de', 'es', 'fr'] as const;
export type Language = (typeof LANGUAGES)[number];

export type Direction = 'in' | 'out';
export type Capability = 'scan' | 'box_office';
/** `leaving`: revoked, still uploading. `revoked`: wiped but for its log. */
export type DeviceState = 'pending' | 'active' | 'leaving' | 'revoked';
export type TicketState = 'valid' | 'blocked' | 'refunded' | 'canceled' | 'withdrawn';

/** RFC 3339 in UTC. */
export type Moment = string;
/** 32 bytes in hexadecimal. */
export type Hash = string;
/** 16 bytes in hexadecimal: one attempt. The same nonce is the same scan, however often it is sent. */
export type Nonce = string;
export type DeviceId = string;
export type EventId = string;
export type GateId = string;
export type ListId = string;
export type StewardId = string;
export type TicketId = string;
export type TicketTypeId = string;

// ---------------------------------------------------------------------------------------------------------------------
// A scan

/** An earlier admission. */
export interface First {
  at: Moment;
  gate: GateId | null;
  device: DeviceId;
}

/** gate-core's `answer::Answer`, as `gate scan` prints it. */
export interface Answer {
  code_sha256: Hash;
  outcome: Outcome;
  flags: Flag[];
  kind: EntryKind;
  ticket_id: TicketId | null;
  ticket_type: TicketTypeId | null;
  list: ListId;
  scanned_at: Moment;
  /** Where it is recorded; null exactly if it is not, and then the outcome is `cannot_record`. */
  log_no: number | null;
  seq: number | null;
  first_admission: First | null;
  /** English, for logs; the window words `Verdict.reason` in its own language. */
  explanation: string;
}

export type Operand =
  | 'entries_total'
  | 'entries_today'
  | 'entries_days'
  | 'minutes_since_first'
  | 'minutes_since_last'
  | 'entries_since'
  | 'entries_before';
export type Operator = '<' | '<=' | '==' | '!=' | '>=' | '>';
export type Weekday = 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday' | 'sunday';

/** shared's `admission::rule::Unmet`: the condition that is nearest to being met. */
export type Unmet =
  | { kind: 'from'; at: Moment }
  | { kind: 'until'; at: Moment }
  | { kind: 'weekday'; days: Weekday[] }
  | { kind: 'gate'; gates: GateId[] }
  | { kind: 'other_gate' }
  | { kind: 'ticket_type' }
  | { kind: 'present'; inside: boolean }
  | { kind: 'number'; operand: Operand; op: Operator; to: number; actual: number };

/** shared's `admission::explain::Explanation`, tagged: why the answer is as it is, as data. */
export type Reason =
  | { kind: 'admitted' }
  | { kind: 'let_out'; defect: Reason | null }
  | { kind: 'overridden'; defect: Reason }
  | { kind: 'malformed' }
  | { kind: 'unknown_key' }
  | { kind: 'bad_signature' }
  | { kind: 'wrong_event' }
  | { kind: 'unknown_ticket'; because: 'not_in_manifest' | 'generation_ahead' | 'unlisted_barcode' }
  | { kind: 'revoked'; state: 'refunded' | 'canceled' | 'withdrawn' }
  | { kind: 'superseded'; code: number; current: number }
  | { kind: 'blocked' }
  | { kind: 'not_yet_valid'; from: Moment }
  | { kind: 'expired'; since: Moment }
  | { kind: 'product' }
  | { kind: 'rule'; nearest: Unmet }
  | { kind: 'rule_broken'; why: string }
  | { kind: 'already_admitted'; first: First }
  | { kind: 'stale_manifest'; since: Moment | null }
  | { kind: 'cannot_record' }
  /** The same attempt was answered before (same nonce), or its answer was never shown. */
  | { kind: 'repeated'; resumed: boolean };

/** What only the scanned code could open. */
export interface Guest {
  name: string | null;
  note: string | null;
  /** Civil date. */
  born_on: string | null;
}

/** All that the window shows of one scan. */
export interface Verdict {
  answer: Answer;
  reason: Reason;
  ticket_type_name: string | null;
  /** The ticket type's note for every scan ("check the student card"). */
  attention: string | null;
  guest: Guest | null;
  /** Absent before the first manifest. */
  manifest_age_secs: number | null;
  /** Half-width of the clock's error. */
  uncertainty_ms: number;
}

/** How a code came in. */
export type ScanSource = 'reader' | 'paste' | 'typed' | 'camera' | 'image';

/**
 * A picture as gray bytes, row by row, one byte a pixel. Travels as the raw body of the command; the other fields as
 * its headers (`width`, `height`, `nonce`, `source`).
 */
export interface GrayFrame {
  width: number;
  height: number;
  pixels: Uint8Array;
  nonce: Nonce;
  source: 'camera' | 'image';
}

/**
 * `nothing`: no code in the picture. `in_view`: the code of the last answer still lies before the camera, which is no
 * second scan; the core decides for how long.
 */
export type FrameAnswer = { found: 'nothing' } | { found: 'in_view' } | { found: 'scan'; verdict: Verdict };

/** Names one entry of this device's log. */
export interface Place {
  log_no: number;
  seq: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Where the device stands

export interface ListChoice {
  id: ListId;
  name: string;
  attendance: boolean;
  multiple_entry: boolean;
  reentry_after_exit: boolean;
}

export interface GateChoice {
  id: GateId;
  name: string;
}

export interface StewardChoice {
  id: StewardId;
  label: string;
  supervisor: boolean;
}

/** One enrolment of this machine; there may be several side by side. */
export interface Enrolment {
  device_id: DeviceId;
  event: EventId;
  /** From the organizer. */
  label: string;
  /** Given here; stays on this machine. */
  local_name: string | null;
  number: number;
  origin: string;
  state: DeviceState;
  capabilities: Capability[];
  /** Null until the first manifest, as are the lists, gates and stewards empty. */
  title: string | null;
  /** IANA name. */
  time_zone: string | null;
  starts_at: Moment | null;
  lists: ListChoice[];
  gates: GateChoice[];
  stewards: StewardChoice[];
}

/** What is scanned for, and where. */
export interface Post {
  device_id: DeviceId;
  list: ListId;
  gate: GateId | null;
  direction: Direction;
  rehearsal: boolean;
}

/** Kept by the core beside the enrolments; not part of any log. */
export interface Settings {
  language: Language;
  /** 0 to 1; 0 is silent. */
  volume: number;
  /** How long a verdict stays. */
  ok_ms: number;
  attention_ms: number;
  refused_ms: number;
  /** A refusal stays until somebody takes it away. */
  hold_refusals: boolean;
  /** Without input for so long, supervision ends. */
  auto_lock_secs: number;
  /** Media device of the browser; null = the one that the system prefers. */
  camera: string | null;
  larger_text: boolean;
  /** In kiosk mode guests hold their tickets before the camera. */
  kiosk_camera: boolean;
}

export interface AppState {
  version: string;
  enrolments: Enrolment[];
  post: Post | null;
  settings: Settings;
  kiosk: boolean;
  supervision: Supervision | null;
  /** The window was closed, or the machine stopped, before the last answer was shown. */
  interrupted: Interrupted | null;
  trouble: Trouble | null;
}

/** The last scan of the previous run, whose answer nobody may have seen. */
export interface Interrupted {
  scanned_at: Moment;
  outcome: Outcome;
  ticket_type_name: string | null;
}

/** What keeps the device from its work, or soon will. Camera troubles are the window's own. */
export type Trouble =
  | { kind: 'disk_full'; path: string; free_bytes: number }
  | { kind: 'disk_read_only'; path: string }
  | { kind: 'disk_error'; path: string; detail: string }
  /** `kept_as`: the damaged file, which is never deleted. `black_box`: entries that the second copy holds. */
  | { kind: 'database_damaged'; kept_as: string; black_box: number }
  | { kind: 'database_newer'; found: number; known: number }
  /** Wall clock minus best estimate. */
  | { kind: 'clock_wrong'; offset_ms: number }
  | { kind: 'revoked'; unsent: number; wiped: boolean }
  | { kind: 'manifest_expired'; since: Moment }
  | { kind: 'manifest_unusable'; detail: string };

// ---------------------------------------------------------------------------------------------------------------------
// Status

/** gate-core's `status::Status`, as `gate status --json` prints it. */
export interface Status {
  device_id: DeviceId;
  event: EventId;
  state: DeviceState;
  manifest: {
    root_version: number;
    epoch: number;
    change_seq: number;
    as_of: Moment;
    fresh_until: Moment;
    hard_until: Moment;
    tickets: number;
  } | null;
  queue: { unsent: number; acknowledged_seq: number; last_seq: number };
  clock: { offset_ms: number; uncertainty_ms: number };
  last_sync_at: Moment | null;
  online: boolean;
  problem: string | null;
  fold: { on_site: number; incidents: number; hash: Hash };
}

/** Distinct people on the list that is scanned for. `expected`: valid and blocked tickets of its types. */
export interface Counts {
  admitted: number;
  on_site: number;
  entries: number;
  expected: number;
}

export interface WindowStatus {
  status: Status;
  /** Corrected time. The window counts on from it. */
  now: Moment;
  counts: Counts;
}

/** `of` is 0 while nobody knows. `first`: there is no manifest yet, so nobody can scan before it ends. */
export interface SyncProgress {
  phase: 'idle' | 'connecting' | 'uploading' | 'downloading' | 'checking' | 'storing';
  done: number;
  of: number;
  first: boolean;
}

// ---------------------------------------------------------------------------------------------------------------------
// Enrolment

export interface EnrolmentBegun {
  /** Six digits, to be compared. */
  digits: string;
  origin: string;
}

export type EnrolmentNews =
  | { state: 'waiting' }
  /** The line is down; it goes on by itself. */
  | { state: 'unreachable' }
  | { state: 'done'; device_id: DeviceId; label: string; number: number }
  | { state: 'declined' }
  | { state: 'failed'; error: CommandError };

// ---------------------------------------------------------------------------------------------------------------------
// Supervision

/** A steward whose PIN was right. */
export interface Supervision {
  staff: StewardId;
  label: string;
  supervisor: boolean;
  /** Ends then unless something is done before. */
  until: Moment;
}

/** gate-core's `admission::fold::Incident` with names for people. */
export type Incident =
  | {
      kind: 'double_admission';
      list: ListId;
      list_name: string;
      ticket: TicketId;
      ticket_type_name: string | null;
      status: 'open' | 'closed';
      sides: Side[];
    }
  | { kind: 'forked_log'; device: DeviceId; device_label: string; log_no: number; places: { seq: number; hashes: Hash[] }[] };

export interface Side {
  place: { device: DeviceId; log_no: number; seq: number };
  device_label: string;
  at: Moment;
  error_ms: number;
  gate: GateId | null;
  staff: StewardId | null;
  undone: boolean;
  /** This side's seen vector proves that its device knew the earlier one. */
  knew: boolean;
}

/** Entries of a revoked device after its cut-off, which wait for the organizer's decision. */
export interface QuarantineNote {
  device: DeviceId;
  device_label: string;
  revoked_after: Place;
  entries: number;
  last_at: Moment;
}

/** What a search finds; names and bookings only with the capability `box_office`. */
export interface Hit {
  ticket_id: TicketId;
  ticket_type_name: string | null;
  state: TicketState;
  name: string | null;
  booking: string | null;
  first_admission: First | null;
  inside: boolean;
}

// ---------------------------------------------------------------------------------------------------------------------
// History

/** gate-core's `gate log --json` line, with the ticket type's name. */
export interface LogLine {
  log_no: number;
  seq: number;
  hash: Hash;
  kind: EntryKind;
  outcome: Outcome;
  flags: Flag[];
  list: ListId | null;
  ticket_id: TicketId | null;
  ticket_type_name: string | null;
  code_sha256: Hash | null;
  direction: Direction;
  gate: GateId | null;
  staff: StewardId | null;
  /** A supervisor's, for override and undo. */
  reason: string | null;
  target: Place | null;
  rehearsal: boolean;
  scanned_at: Moment;
  error_ms: number;
  acknowledged: boolean;
  undone: boolean;
}

export const HISTORY_SHOWS = ['all', 'admitted', 'refused', 'supervised', 'unsent'] as const;

export interface HistoryFilter {
  show: (typeof HISTORY_SHOWS)[number];
  /** Part of a ticket id, a ticket type, a reason, or a whole code. */
  text: string;
}

/** Newest first. */
export interface HistoryPage {
  lines: LogLine[];
  /** All that the filter lets through. */
  total: number;
  next: Place | null;
}

// ---------------------------------------------------------------------------------------------------------------------
// Failures

/** Stable words that the window acts on; anything else is `internal`. */
export type ErrorCode =
  | 'invalid_link'
  | 'newer_link'
  | 'invalid_code'
  | 'invalid_server'
  | 'unreachable'
  | 'refused_by_server'
  | 'not_the_invited_server'
  | 'declined'
  | 'wrong_pin'
  | 'pin_locked'
  | 'pin_unusable'
  | 'not_supervisor'
  | 'locked'
  | 'not_box_office'
  | 'nothing_to_override'
  | 'not_undoable'
  | 'already_undone'
  | 'reason_missing'
  | 'no_entry'
  | 'unsent_entries'
  | 'revoked'
  | 'cannot_record'
  | 'internal';

export interface CommandError {
  code: ErrorCode;
  /** English, for logs. */
  detail: string;
  /** `wrong_pin`: tries left. `unsent_entries`: how many. */
  count?: number;
  /** `pin_locked`: still. */
  secs?: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Commands and events

export interface Commands {
  /** All that the window needs to begin; events tell what changes. */
  app_state(): AppState;
  status(): WindowStatus | null;
  sync_now(): void;

  enrol_begin(args: { invitation: string; server: string | null }): EnrolmentBegun;
  enrol_cancel(): void;
  /** Reads a code from a picture without scanning it: an invitation. */
  read_frame(frame: GrayFrame): { text: string | null };
  name_device(args: { device_id: DeviceId; name: string }): void;
  set_post(args: { post: Post }): AppState;
  set_settings(args: { settings: Settings }): void;

  /** Durable when it answers. */
  scan_text(args: { text: string; nonce: Nonce; source: ScanSource }): Verdict;
  scan_frame(frame: GrayFrame): FrameAnswer;
  /** The answer was painted: after a crash it need not be given again. */
  scan_shown(args: Place): void;
  /** The steward has read what an interrupted run left. */
  interrupted_seen(): void;

  unlock(args: { staff: StewardId; pin: string }): Supervision;
  lock(): void;
  /** Somebody is still working: the deadline moves. */
  keep_unlocked(): Supervision | null;
  /** Supervised. The core keeps the text of the last refused scan, and of no other. */
  override_scan(args: { place: Place; reason: string; nonce: Nonce }): Verdict;
  /** Supervised. */
  undo(args: { place: Place; reason: string }): Place;
  /** Supervised; finds by code or ticket id, with `box_office` by name and booking too. */
  search(args: { text: string }): Hit[];
  /** Supervised. */
  incidents(): Incident[];
  /** Supervised. */
  quarantine(): QuarantineNote[];
  /** Supervised. Uploads first; fails with `unsent_entries` while something is unsent. */
  leave(args: { device_id: DeviceId }): AppState;

  history(args: { filter: HistoryFilter; before: Place | null; limit: number }): HistoryPage;
  /** Asks where to, writes there; null if nobody chose a place. */
  export_history(args: { filter: HistoryFilter; language: Language }): { saved_as: string; lines: number } | null;

  /** Supervised. */
  kiosk_enter(): void;
  kiosk_leave(args: { staff: StewardId; pin: string }): void;

  /** Tries again what the trouble stands in the way of; null once it is over. */
  trouble_retry(): Trouble | null;
}

export interface Events {
  status: WindowStatus;
  sync: SyncProgress;
  enrolment: EnrolmentNews;
  /** Null: locked. */
  supervision: Supervision | null;
  trouble: Trouble | null;
  /** Enrolments, lists or gates changed. */
  app_state: AppState;
}

export type CommandName = keyof Commands;
export type EventName = keyof Events;
export type ArgsOf<K extends CommandName> = Parameters<Commands[K]>;
export type AnswerOf<K extends CommandName> = ReturnType<Commands[K]>;
