/**
 * How an answer looks and sounds. Nothing is decided here: the core has decided; these tables only say which of four
 * signals it is. Every switch is exhaustive, so that a new outcome or flag does not compile before it has a signal.
 */
import type { EntryKind, Flag, LogLine, Outcome, Verdict } from './contract';

/** Four signals, each with its own colour, icon, word and sound. */
export const TONES = ['ok', 'attention', 'used', 'refused'] as const;
export type Tone = (typeof TONES)[number];

/** How much a remark asks for: `note` is told, `look` makes an ok amber. */
export type Weight = 'note' | 'look';

function never(value: never): never {
  throw new Error(`not in the contract: ${String(value)}`);
}

/** The signal of an outcome by itself. */
export function toneOfOutcome(outcome: Outcome): Tone {
  switch (outcome) {
    case 'ok':
      return 'ok';
    case 'already_admitted':
      return 'used';
    case 'malformed':
    case 'unknown_key':
    case 'bad_signature':
    case 'wrong_event':
    case 'unknown_ticket':
    case 'revoked':
    case 'superseded':
    case 'blocked':
    case 'not_yet_valid':
    case 'expired':
    case 'product':
    case 'rules':
    case 'stale_manifest':
    case 'cannot_record':
      return 'refused';
    default:
      return never(outcome);
  }
}

/** Whether a remark beside an ok asks the steward to look. */
export function weightOf(flag: Flag, kind: EntryKind): Weight {
  switch (flag) {
    case 'late_sale':
    case 'late_reissue':
    case 'stale_warning':
    case 'clock_doubt':
    case 'overridden':
    case 'rehearsal':
      return 'note';
    case 'resumed':
    case 'quarantined_repeat':
      return 'look';
    case 'unknown_ticket':
    case 'revoked':
    case 'superseded':
    case 'blocked':
    case 'not_yet_valid':
    case 'expired':
    case 'product':
    case 'rules':
    case 'already_admitted':
    case 'stale_manifest':
      // A supervisor has just decided about it; somebody who walks out with such a ticket is news.
      return kind === 'override' ? 'note' : 'look';
    default:
      return never(flag);
  }
}

/** The signal of a whole verdict. Green only for a recorded ok. */
export function toneOf(verdict: Verdict): Tone {
  const { answer, attention, guest } = verdict;
  const tone = toneOfOutcome(answer.outcome);
  if (tone !== 'ok') return tone;
  if (answer.log_no === null || answer.seq === null) return 'refused';
  const look = answer.flags.some((flag) => weightOf(flag, answer.kind) === 'look');
  return look || attention || guest?.note ? 'attention' : 'ok';
}

/** True where a supervisor's override can help: from `unknown_ticket` on, never against a rule that is broken. */
export function mayOverride(verdict: Verdict): boolean {
  const { answer, reason } = verdict;
  if (answer.seq === null || answer.kind !== 'refuse' || answer.ticket_id === null) return false;
  switch (answer.outcome) {
    case 'ok':
    case 'malformed':
    case 'unknown_key':
    case 'bad_signature':
    case 'wrong_event':
    case 'cannot_record':
      return false;
    case 'rules':
      return reason.kind !== 'rule_broken';
    case 'unknown_ticket':
    case 'revoked':
    case 'superseded':
    case 'blocked':
    case 'not_yet_valid':
    case 'expired':
    case 'product':
    case 'already_admitted':
    case 'stale_manifest':
      return true;
    default:
      return never(answer.outcome);
  }
}

/** True where an undo can take the record back. */
export function mayUndo(line: Pick<LogLine, 'kind' | 'undone'>): boolean {
  return !line.undone && (line.kind === 'entry' || line.kind === 'exit' || line.kind === 'override');
}
