// Made from the types of gate-core (gate-app/core/src/desk/contract); do not edit. `CONTRACT=write` before the test
// `the_contract_in_the_tree_is_that_of_the_types` writes it anew.

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

export const OUTCOMES = ['ok', 'malformed', 'unknown_key', 'bad_signature', 'wrong_event', 'unknown_ticket', 'revoked', 'superseded', 'blocked', 'not_yet_valid', 'expired', 'product', 'rules', 'already_admitted', 'stale_manifest', 'cannot_record'] as const;
export type Outcome = (typeof OUTCOMES)[number];
export const FLAGS = ['late_sale', 'late_reissue', 'stale_warning', 'resumed', 'clock_doubt', 'overridden', 'quarantined_repeat', 'rehearsal', 'unknown_ticket', 'revoked', 'superseded', 'blocked', 'not_yet_valid', 'expired', 'product', 'rules', 'already_admitted', 'stale_manifest'] as const;
export type Flag = (typeof FLAGS)[number];
export const ENTRY_KINDS = ['entry', 'exit', 'refuse', 'override', 'undo', 'fork'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];
export type Direction = 'in' | 'out';
export type Capability = 'scan' | 'box_office';
export type DeviceState = 'pending' | 'active' | 'leaving' | 'revoked';
export type Operator = '<' | '<=' | '==' | '!=' | '>=' | '>';
export type Weekday = 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday' | 'sunday';

export type First = { 
/**
 * RFC 3339.
 */
at: Moment, 
/**
 * Where.
 */
gate: GateId | null, 
/**
 * By which device.
 */
device: DeviceId, };

export type Answer = { 
/**
 * SHA-256 of the text.
 */
code_sha256: Hash, 
/**
 * The first defect, or ok.
 */
outcome: Outcome, 
/**
 * Remarks.
 */
flags: Flag[], 
/**
 * What was recorded.
 */
kind: EntryKind, 
/**
 * The ticket, once the code could be read.
 */
ticket_id: TicketId | null, 
/**
 * Its type, if the manifest knows it.
 */
ticket_type: TicketTypeId | null, 
/**
 * The list.
 */
list: ListId, 
/**
 * Corrected time of the scan, RFC 3339.
 */
scanned_at: Moment, 
/**
 * Where it is recorded; absent if it is not.
 */
log_no: number | null, 
/**
 * See `log_no`.
 */
seq: number | null, 
/**
 * The admission that stands first on this list.
 */
first_admission: First | null, 
/**
 * For the steward.
 */
explanation: string, };

export type Reason = { "kind": "admitted" } | { "kind": "let_out", 
/**
 * What would have refused the way in.
 */
defect: Reason | null, } | { "kind": "overridden", 
/**
 * The first defect that was lifted.
 */
defect: Reason, } | { "kind": "malformed" } | { "kind": "unknown_key" } | { "kind": "bad_signature" } | { "kind": "wrong_event" } | { "kind": "unknown_ticket", 
/**
 * Why.
 */
because: Because, } | { "kind": "revoked", 
/**
 * How.
 */
state: FinalState, } | { "kind": "superseded", 
/**
 * Generation in the code.
 */
code: number, 
/**
 * Generation that is valid.
 */
current: number, } | { "kind": "blocked" } | { "kind": "not_yet_valid", 
/**
 * First second.
 */
from: Moment, } | { "kind": "expired", 
/**
 * First second after.
 */
since: Moment, } | { "kind": "product" } | { "kind": "rule", 
/**
 * The one that is nearest to being met.
 */
nearest: Unmet, } | { "kind": "rule_broken", 
/**
 * Why.
 */
why: string, } | { "kind": "already_admitted", 
/**
 * When and where.
 */
first: First, } | { "kind": "stale_manifest", 
/**
 * Since when; absent if there never was one.
 */
since: Moment | null, } | { "kind": "cannot_record" } | { "kind": "repeated", 
/**
 * Its answer was never shown.
 */
resumed: boolean, };

export type Because = "not_in_manifest" | "generation_ahead" | "unlisted_barcode";

export type FinalState = "refunded" | "canceled" | "withdrawn";

export type Unmet = { "kind": "from", 
/**
 * When.
 */
at: Moment, } | { "kind": "until", 
/**
 * When.
 */
at: Moment, } | { "kind": "weekday", 
/**
 * Which.
 */
days: Weekday[], } | { "kind": "gate", 
/**
 * Which.
 */
gates: GateId[], } | { "kind": "other_gate" } | { "kind": "ticket_type" } | { "kind": "present", 
/**
 * Which of the two.
 */
inside: boolean, } | { "kind": "number", 
/**
 * What was counted.
 */
operand: Operand, 
/**
 * How it must compare.
 */
op: Operator, 
/**
 * To what.
 */
to: number, 
/**
 * What it is.
 */
actual: number, };

export type Operand = "entries_total" | "entries_today" | "entries_days" | "minutes_since_first" | "minutes_since_last" | "entries_since" | "entries_before";

export type Guest = { 
/**
 * Name.
 */
name: string | null, 
/**
 * The organizer's note.
 */
note: string | null, 
/**
 * Civil date.
 */
born_on: string | null, 
/**
 * To the questions that are marked for the door.
 */
answers: Array<GuestAnswer>, };

export type GuestAnswer = { 
/**
 * The question.
 */
label: string, 
/**
 * The answer.
 */
value: AnswerShown, };

export type AnswerShown = string | boolean;

export type Verdict = { 
/**
 * As `gate scan` prints it.
 */
answer: Answer, 
/**
 * Why, as data.
 */
reason: Reason, 
/**
 * Name of the ticket's type.
 */
ticket_type_name: string | null, 
/**
 * The ticket type's note for every scan.
 */
attention: string | null, 
/**
 * What only the code could open; absent if no record of it is here.
 */
guest: Guest | null, 
/**
 * Seconds since the manifest's `as_of`.
 */
manifest_age_secs: number | null, 
/**
 * Half-width of the clock's error.
 */
uncertainty_ms: number, };

export type ScanSource = "reader" | "paste" | "typed" | "camera" | "image";

export type PictureSource = "camera" | "image";

export type FrameAnswer = { "found": "nothing" } | { "found": "in_view" } | { "found": "scan", 
/**
 * Its answer.
 */
verdict: Verdict, };

export type Place = { 
/**
 * Which log.
 */
log_no: number, 
/**
 * Number in it.
 */
seq: number, };

export type ListChoice = { 
/**
 * Identity.
 */
id: ListId, 
/**
 * Name for people.
 */
name: string, 
/**
 * Totals use it alone.
 */
attendance: boolean, 
/**
 * The same ticket may enter again and again.
 */
multiple_entry: boolean, 
/**
 * After an exit the ticket may enter again.
 */
reentry_after_exit: boolean, };

export type GateChoice = { 
/**
 * Identity.
 */
id: GateId, 
/**
 * Name for people.
 */
name: string, };

export type StewardChoice = { 
/**
 * Identity.
 */
id: StewardId, 
/**
 * Name for people.
 */
label: string, 
/**
 * May override and undo.
 */
supervisor: boolean, };

export type Enrolment = { 
/**
 * The device.
 */
device_id: DeviceId, 
/**
 * Its event.
 */
event: EventId, 
/**
 * From the organizer.
 */
label: string, 
/**
 * Given here; stays on this machine.
 */
local_name: string | null, 
/**
 * Number within the event.
 */
number: number, 
/**
 * The server.
 */
origin: string, 
/**
 * `active`, `leaving` (revoked, still uploading) or `revoked`.
 */
state: DeviceState, 
/**
 * What the device may do.
 */
capabilities: Capability[], 
/**
 * Of the event; absent before the first manifest, as are lists, gates and stewards.
 */
title: string | null, 
/**
 * IANA name.
 */
time_zone: string | null, 
/**
 * Start of the event.
 */
starts_at: Moment | null, 
/**
 * By id.
 */
lists: Array<ListChoice>, 
/**
 * By id.
 */
gates: Array<GateChoice>, 
/**
 * By id.
 */
stewards: Array<StewardChoice>, };

export type Post = { 
/**
 * The enrolment.
 */
device_id: DeviceId, 
/**
 * The list.
 */
list: ListId, 
/**
 * The place.
 */
gate: GateId | null, 
/**
 * Which way people go.
 */
direction: Direction, 
/**
 * Scans for real, never counts.
 */
rehearsal: boolean, };

export type Language = "en" | "de" | "es" | "fr";

export type Settings = { 
/**
 * Of the window.
 */
language: Language, 
/**
 * 0 to 1; 0 is silent.
 */
volume: number, 
/**
 * How long an ok stays.
 */
ok_ms: number, 
/**
 * How long an ok with something to look at stays.
 */
attention_ms: number, 
/**
 * How long a refusal stays.
 */
refused_ms: number, 
/**
 * A refusal stays until somebody takes it away.
 */
hold_refusals: boolean, 
/**
 * Without input for so long, supervision ends.
 */
auto_lock_secs: number, 
/**
 * The window's name of a camera; absent = the one that the system prefers.
 */
camera: string | null, 
/**
 * Larger letters.
 */
larger_text: boolean, 
/**
 * In kiosk mode guests hold their tickets before the camera.
 */
kiosk_camera: boolean, };

export type AppState = { 
/**
 * Of the app.
 */
version: string, 
/**
 * Those in use, oldest first.
 */
enrolments: Array<Enrolment>, 
/**
 * The chosen one.
 */
post: Post | null, 
/**
 * See there.
 */
settings: Settings, 
/**
 * Guests scan for themselves.
 */
kiosk: boolean, 
/**
 * Who has entered a PIN.
 */
supervision: Supervision | null, 
/**
 * What nobody may have seen.
 */
interrupted: Interrupted | null, 
/**
 * What is in the way.
 */
trouble: Trouble | null, };

export type Interrupted = { 
/**
 * Corrected time.
 */
scanned_at: Moment, 
/**
 * What it was.
 */
outcome: Outcome, 
/**
 * Name of the ticket's type.
 */
ticket_type_name: string | null, };

export type Trouble = { "kind": "disk_full", 
/**
 * The data folder.
 */
path: string, 
/**
 * What is left there.
 */
free_bytes: number, } | { "kind": "disk_read_only", 
/**
 * The data folder.
 */
path: string, } | { "kind": "disk_error", 
/**
 * The data folder.
 */
path: string, 
/**
 * English, for logs.
 */
detail: string, } | { "kind": "database_damaged", 
/**
 * Entries that the second copy holds.
 */
black_box: number, } | { "kind": "database_repaired", 
/**
 * The damaged file, which is never deleted.
 */
kept_as: string, 
/**
 * Entries that the second copy holds.
 */
black_box: number, } | { "kind": "database_lost", 
/**
 * The damaged file, which is never deleted.
 */
kept_as: string, 
/**
 * Entries that the second copy holds.
 */
black_box: number, } | { "kind": "database_newer", 
/**
 * Form of the file.
 */
found: number, 
/**
 * Newest known form.
 */
known: number, } | { "kind": "clock_wrong", 
/**
 * Wall clock minus best estimate.
 */
offset_ms: number, } | { "kind": "revoked", 
/**
 * Entries that have not reached the server.
 */
unsent: number, 
/**
 * Guests' data are gone from here.
 */
wiped: boolean, } | { "kind": "manifest_expired", 
/**
 * Since when.
 */
since: Moment, } | { "kind": "manifest_unusable", 
/**
 * English, for logs.
 */
detail: string, };

export type Status = { 
/**
 * The device.
 */
device_id: DeviceId, 
/**
 * Its event.
 */
event: EventId, 
/**
 * `active`, `leaving` (revoked, still uploading) or `revoked`.
 */
state: DeviceState, 
/**
 * The manifest in use.
 */
manifest: ManifestStatus | null, 
/**
 * What the server has not acknowledged.
 */
queue: Queue, 
/**
 * The clock.
 */
clock: ClockStatus, 
/**
 * When both ways last worked.
 */
last_sync_at: Moment | null, 
/**
 * The last attempt reached the server.
 */
online: boolean, 
/**
 * What the last attempt complained of.
 */
problem: string | null, 
/**
 * What the log proves.
 */
fold: FoldStatus, };

export type ManifestStatus = { 
/**
 * Version of the trust root.
 */
root_version: number, 
/**
 * See DESIGN's manifest version.
 */
epoch: number, 
/**
 * See `epoch`.
 */
change_seq: number, 
/**
 * Nothing sold before is missing; RFC 3339.
 */
as_of: Moment, 
/**
 * Amber after; RFC 3339.
 */
fresh_until: Moment, 
/**
 * Refuses after; RFC 3339.
 */
hard_until: Moment, 
/**
 * Number of tickets.
 */
tickets: number, };

export type Queue = { 
/**
 * Entries not acknowledged, over all logs.
 */
unsent: number, 
/**
 * Of the current log the server has 1 to here.
 */
acknowledged_seq: number, 
/**
 * Last entry of the current log.
 */
last_seq: number, };

export type ClockStatus = { 
/**
 * Wall clock minus best estimate.
 */
offset_ms: number, 
/**
 * Half-width of the estimate's error.
 */
uncertainty_ms: number, };

export type FoldStatus = { 
/**
 * People inside, by the attendance list.
 */
on_site: number, 
/**
 * Open incidents.
 */
incidents: number, 
/**
 * The same on every replica that knows the same entries.
 */
hash: Hash, };

export type Counts = { 
/**
 * Came in at least once.
 */
admitted: number, 
/**
 * Are inside.
 */
on_site: number, 
/**
 * Entries and overrides, repeats included.
 */
entries: number, 
/**
 * Valid and blocked tickets of its types.
 */
expected: number, };

export type WindowStatus = { 
/**
 * As `gate status` prints it.
 */
status: Status, 
/**
 * Corrected time; the window counts on from it.
 */
now: Moment, 
/**
 * Of the chosen list; of the attendance list without a post.
 */
counts: Counts, };

export type SyncPhase = "idle" | "connecting" | "uploading" | "downloading" | "checking" | "storing";

export type SyncProgress = { 
/**
 * What.
 */
phase: SyncPhase, 
/**
 * So much.
 */
done: number, 
/**
 * Of so much; 0 while nobody knows.
 */
of: number, 
/**
 * There is no manifest yet: nobody can scan before it ends.
 */
first: boolean, };

export type EnrolmentBegun = { 
/**
 * Six digits.
 */
digits: string, 
/**
 * The server.
 */
origin: string, };

export type EnrolmentNews = { "state": "waiting" } | { "state": "unreachable" } | { "state": "done", 
/**
 * The device.
 */
device_id: DeviceId, 
/**
 * From the organizer.
 */
label: string, 
/**
 * Number within the event.
 */
number: number, } | { "state": "declined" } | { "state": "failed", 
/**
 * Why.
 */
error: CommandError, };

export type Supervision = { 
/**
 * Who.
 */
staff: StewardId, 
/**
 * Name for people.
 */
label: string, 
/**
 * May override and undo.
 */
supervisor: boolean, 
/**
 * Ends then unless something is done before.
 */
until: Moment, };

export type Incident = { "kind": "double_admission", 
/**
 * The list.
 */
list: ListId, 
/**
 * Its name; its id if it is gone.
 */
list_name: string, 
/**
 * The ticket.
 */
ticket: TicketId, 
/**
 * Name of its type.
 */
ticket_type_name: string | null, 
/**
 * Open until an undo resolves it.
 */
status: "open" | "closed", 
/**
 * In the order of scan time.
 */
sides: Array<Side>, } | { "kind": "forked_log", 
/**
 * The device.
 */
device: DeviceId, 
/**
 * What people call it.
 */
device_label: string, 
/**
 * Its log.
 */
log_no: number, 
/**
 * Each place with its hashes.
 */
places: Array<ForkedAt>, };

export type ForkedAt = { 
/**
 * Number in the log.
 */
seq: number, 
/**
 * Sorted.
 */
hashes: Hash[], };

export type Side = { 
/**
 * The entry.
 */
place: SidePlace, 
/**
 * What people call its device.
 */
device_label: string, 
/**
 * Corrected time.
 */
at: Moment, 
/**
 * Error bar.
 */
error_ms: number, 
/**
 * Where.
 */
gate: GateId | null, 
/**
 * Who was at the device.
 */
staff: StewardId | null, 
/**
 * A supervisor has taken it back since.
 */
undone: boolean, 
/**
 * Its seen vector proves that its device knew an earlier side.
 */
knew: boolean, };

export type SidePlace = { 
/**
 * Whose.
 */
device: DeviceId, 
/**
 * Which log.
 */
log_no: number, 
/**
 * Number in it.
 */
seq: number, };

export type QuarantineNote = { 
/**
 * The device.
 */
device: DeviceId, 
/**
 * What people call it.
 */
device_label: string, 
/**
 * Its last entry that counts.
 */
revoked_after: Place, 
/**
 * How many wait.
 */
entries: number, 
/**
 * Scan time of the last of them.
 */
last_at: Moment, };

export type TicketState = "valid" | "blocked" | "refunded" | "canceled" | "withdrawn";

export type Hit = { 
/**
 * The ticket.
 */
ticket_id: TicketId, 
/**
 * Name of its type.
 */
ticket_type_name: string | null, 
/**
 * Its state.
 */
state: TicketState, 
/**
 * The guest's name; on devices of the box office only.
 */
name: string | null, 
/**
 * As `name`.
 */
booking: string | null, 
/**
 * On the list that is scanned for.
 */
first_admission: First | null, 
/**
 * Inside, by that list.
 */
inside: boolean, };

export type LogLine = { 
/**
 * Which log.
 */
log_no: number, 
/**
 * Number in it.
 */
seq: number, 
/**
 * Of the entry.
 */
hash: Hash, 
/**
 * What it records.
 */
kind: EntryKind, 
/**
 * The verdict's.
 */
outcome: Outcome, 
/**
 * The verdict's.
 */
flags: Flag[], 
/**
 * The list.
 */
list: ListId | null, 
/**
 * The ticket.
 */
ticket_id: TicketId | null, 
/**
 * Name of its type.
 */
ticket_type_name: string | null, 
/**
 * SHA-256 of the text.
 */
code_sha256: Hash | null, 
/**
 * Which way.
 */
direction: Direction, 
/**
 * Where.
 */
gate: GateId | null, 
/**
 * Who was at the device.
 */
staff: StewardId | null, 
/**
 * A supervisor's, for override and undo; of a fork, what could not be proven.
 */
reason: string | null, 
/**
 * What an undo took back.
 */
target: Place | null, 
/**
 * Never counts.
 */
rehearsal: boolean, 
/**
 * Corrected time.
 */
scanned_at: Moment, 
/**
 * Error bar.
 */
error_ms: number, 
/**
 * The server has it.
 */
acknowledged: boolean, 
/**
 * Taken back since.
 */
undone: boolean, };

export type HistoryShow = "all" | "admitted" | "refused" | "supervised" | "unsent";

export type HistoryFilter = { 
/**
 * Which entries.
 */
show: HistoryShow, 
/**
 * Part of a ticket id, a ticket type, a reason, or a whole code.
 */
text: string, };

export type HistoryPage = { 
/**
 * At most as many as were asked for.
 */
lines: Array<LogLine>, 
/**
 * All that the filter lets through.
 */
total: number, 
/**
 * Where the next page begins, if there is one.
 */
next: Place | null, };

export type ErrorCode = "invalid_link" | "newer_link" | "invalid_code" | "invalid_server" | "unreachable" | "refused_by_server" | "not_the_invited_server" | "declined" | "wrong_pin" | "pin_locked" | "pin_unusable" | "not_supervisor" | "locked" | "not_box_office" | "nothing_to_override" | "not_undoable" | "already_undone" | "reason_missing" | "no_entry" | "unsent_entries" | "revoked" | "cannot_record" | "internal";

export type CommandError = { 
/**
 * What the window acts on.
 */
code: ErrorCode, 
/**
 * English, for logs.
 */
detail: string, 
/**
 * `wrong_pin`: tries left. `unsent_entries`: how many.
 */
count?: number, 
/**
 * `pin_locked`: still.
 */
secs?: number, };
