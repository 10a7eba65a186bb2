/**
 * What the window asks of the app, what it is told, in which shapes. The shapes stand in core.ts, which is made from
 * gate-core's types; what only a window has (pictures as bytes, commands and events by name) is written here
 * (docs/decisions/0026-gate-app-window.md).
 *
 * Conventions: snake_case as in Rust's JSON; moments are RFC 3339 in UTC; durations carry their unit in the name; an
 * absent value is `null`. A command either answers or fails with a [`CommandError`].
 */
import type {
  AppState,
  DeviceId,
  EnrolmentBegun,
  EnrolmentNews,
  FrameAnswer,
  HistoryFilter,
  HistoryPage,
  HistoryShow,
  Hit,
  Incident,
  Language,
  Nonce,
  PictureSource,
  Place,
  Post,
  QuarantineNote,
  ScanSource,
  Settings,
  StewardId,
  Supervision,
  SyncProgress,
  Trouble,
  Verdict,
  WindowStatus,
} from './core';

export * from './core';

export const LANGUAGES = ['en', 'de', 'es', 'fr'] as const satisfies readonly Language[];
export const HISTORY_SHOWS = ['all', 'admitted', 'refused', 'supervised', 'unsent'] as const satisfies readonly HistoryShow[];

/**
 * A picture as gray bytes, row by row, one byte a pixel. Travels as the raw body of the command; the other fields as
 * its headers (`width`, `height`, `nonce`, `source`).
 */
export interface GrayFrame {
  width: number;
  height: number;
  pixels: Uint8Array;
  nonce: Nonce;
  source: PictureSource;
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
  /** Null and an empty PIN where the event names nobody who has one. */
  kiosk_leave(args: { staff: StewardId | null; pin: string }): void;

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
