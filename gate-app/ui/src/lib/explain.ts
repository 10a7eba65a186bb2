/** An answer in words. The core says why as data (`Reason`); here it becomes a sentence of the chosen language. */
import type { Answer, CommandError, GateId, Reason, Unmet, Verdict, Weekday } from './contract';
import type { I18n } from './i18n/index.svelte';
import { weightOf } from './present';

const WEEKDAYS: readonly Weekday[] = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

/** Names that a sentence may mention. */
export interface Names {
  list: string;
  gate: (id: GateId) => string;
  /** Corrected time, for leaving out today's date. */
  now: string;
}

export class Explainer {
  readonly #i18n: I18n;
  readonly #names: Names;

  constructor(i18n: I18n, names: Names) {
    this.#i18n = i18n;
    this.#names = names;
  }

  /** Why. */
  reason(verdict: Verdict): string {
    return this.#sentence(verdict.reason, verdict.ticket_type_name);
  }

  /** What to do now. */
  next(verdict: Verdict, look: boolean): string {
    const { outcome, flags, kind } = verdict.answer;
    if (outcome === 'rules' && verdict.reason.kind === 'rule_broken') return this.#i18n.t('next.rule_broken');
    if (outcome === 'ok') {
      const resumed = verdict.reason.kind === 'repeated' && verdict.reason.resumed;
      const alone = flags.every((flag) => flag === 'resumed' || weightOf(flag, kind) === 'note');
      // There is nothing else to look at.
      if (resumed && alone && kind !== 'exit' && !verdict.attention && !verdict.guest?.note) return this.#i18n.t('next.resumed');
      return this.#i18n.t(look ? 'next.look' : 'next.ok');
    }
    return this.#i18n.t(`next.${outcome}`);
  }

  /** Remarks beside the reason. What the reason says already is left out. */
  remarks(answer: Answer, reason: Reason): string[] {
    const told = new Set<string>([reason.kind === 'overridden' ? 'overridden' : '']);
    if (reason.kind === 'let_out' || reason.kind === 'overridden') told.add(flagOf(reason.defect));
    if (reason.kind === 'repeated' && reason.resumed) told.add('resumed');
    return answer.flags.filter((flag) => !told.has(flag)).map((flag) => this.#i18n.t(`flag.${flag}`));
  }

  #time(at: string): string {
    return this.#i18n.format.time(at, this.#names.now);
  }

  #sentence(reason: Reason, typeName: string | null): string {
    const t = this.#i18n.t.bind(this.#i18n);
    const list = this.#names.list;
    const type = typeName ?? t('verdict.unnamed_type');
    switch (reason.kind) {
      case 'admitted':
        return t('reason.admitted', { list });
      case 'let_out':
        return reason.defect
          ? t('reason.let_out.defect', { defect: this.#sentence(reason.defect, typeName) })
          : t('reason.let_out');
      case 'overridden':
        return t('reason.overridden', { defect: this.#sentence(reason.defect, typeName) });
      case 'unknown_ticket':
        return t(`reason.unknown_ticket.${reason.because}`);
      case 'revoked':
        return t(`reason.revoked.${reason.state}`);
      case 'not_yet_valid':
        return t('reason.not_yet_valid', { time: this.#time(reason.from) });
      case 'expired':
        return t('reason.expired', { time: this.#time(reason.since) });
      case 'product':
        return t('reason.product', { type, list });
      case 'rule':
        return this.#unmet(reason.nearest, type);
      case 'rule_broken':
        return t('reason.rule_broken', { list });
      case 'already_admitted': {
        const time = this.#time(reason.first.at);
        const { gate } = reason.first;
        return gate
          ? t('reason.already_admitted.gate', { time, gate: this.#names.gate(gate) })
          : t('reason.already_admitted', { time });
      }
      case 'stale_manifest':
        return reason.since
          ? t('reason.stale_manifest', { time: this.#time(reason.since) })
          : t('reason.stale_manifest.none');
      case 'repeated':
        return t(reason.resumed ? 'reason.repeated.resumed' : 'reason.repeated');
      case 'malformed':
      case 'unknown_key':
      case 'bad_signature':
      case 'wrong_event':
      case 'superseded':
      case 'blocked':
      case 'cannot_record':
        return t(`reason.${reason.kind}`);
      default:
        return never(reason);
    }
  }

  #unmet(unmet: Unmet, type: string): string {
    const { format } = this.#i18n;
    const t = this.#i18n.t.bind(this.#i18n);
    switch (unmet.kind) {
      case 'from':
      case 'until':
        return t(`unmet.${unmet.kind}`, { time: this.#time(unmet.at) });
      case 'weekday':
        return t('unmet.weekday', { days: format.either(unmet.days.map((day) => format.weekday(WEEKDAYS.indexOf(day)))) });
      case 'gate':
        return t('unmet.gate', { gates: format.either(unmet.gates.map((id) => this.#names.gate(id))) });
      case 'other_gate':
        return t('unmet.other_gate');
      case 'ticket_type':
        return t('unmet.ticket_type', { type, list: this.#names.list });
      case 'present':
        return t(unmet.inside ? 'unmet.inside' : 'unmet.outside');
      case 'number': {
        const never = unmet.actual === -1 && unmet.operand.startsWith('minutes_');
        return t(never ? 'unmet.number.never' : 'unmet.number', {
          what: t(`operand.${unmet.operand}`),
          op: t(`operator.${unmet.op}`),
          to: format.number(unmet.to),
          actual: format.number(unmet.actual),
        });
      }
      default:
        return never(unmet);
    }
  }
}

/** What went wrong with a command, and what to do. */
export function explainError(i18n: I18n, error: CommandError): string {
  switch (error.code) {
    case 'wrong_pin':
    case 'unsent_entries':
      return i18n.n(`error.${error.code}`, error.count ?? 0);
    case 'pin_locked':
      return i18n.t('error.pin_locked', { time: i18n.format.duration((error.secs ?? 0) * 1000) });
    default:
      return i18n.t(`error.${error.code}`);
  }
}

/** The flag that notes a defect beside an ok; empty without. */
function flagOf(defect: Reason | null): string {
  switch (defect?.kind) {
    case 'rule':
    case 'rule_broken':
      return 'rules';
    default:
      return defect?.kind ?? '';
  }
}

function never(value: never): never {
  throw new Error(`not in the contract: ${JSON.stringify(value)}`);
}
