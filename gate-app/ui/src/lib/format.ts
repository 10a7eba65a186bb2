/** Numbers, moments and durations as a language writes them. All times are the venue's. */
import type { Language, Moment } from './contract';

const cache = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat | Intl.RelativeTimeFormat | Intl.ListFormat>();

function cached<F>(key: string, make: () => F & (Intl.DateTimeFormat | Intl.NumberFormat | Intl.RelativeTimeFormat | Intl.ListFormat)): F {
  const found = cache.get(key);
  if (found) return found as F;
  const made = make();
  cache.set(key, made);
  return made;
}

/** BCP 47: English as in Britain, for 24-hour clocks and day before month. */
const LOCALES: Record<Language, string> = { en: 'en-GB', de: 'de-DE', es: 'es-ES', fr: 'fr-FR' };

export class Format {
  readonly #locale: string;
  readonly #zone: string | undefined;

  constructor(language: Language, zone: string | null) {
    this.#locale = LOCALES[language];
    this.#zone = known(zone);
  }

  number(value: number): string {
    return cached(`n ${this.#locale}`, () => new Intl.NumberFormat(this.#locale)).format(value);
  }

  percent(part: number): string {
    return cached(`p ${this.#locale}`, () => new Intl.NumberFormat(this.#locale, { style: 'percent' })).format(part);
  }

  /** `20:14`. */
  clock(at: Moment): string {
    return this.#date('c', at, { hour: '2-digit', minute: '2-digit' });
  }

  /** `20:14:07`. */
  exact(at: Moment): string {
    return this.#date('x', at, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  }

  /** `20:14` today, with the day before it on others. */
  time(at: Moment, now: Moment): string {
    return this.day(at) === this.day(now) ? this.clock(at) : `${this.shortDay(at)}, ${this.clock(at)}`;
  }

  /** `Saturday, 21 November 2026`. */
  day(at: Moment): string {
    return this.#date('d', at, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
  }

  shortDay(at: Moment): string {
    return this.#date('s', at, { weekday: 'short', day: 'numeric', month: 'short' });
  }

  /** A civil date without a zone. */
  civil(date: string): string {
    const key = `v ${this.#locale}`;
    const options: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' };
    return cached(key, () => new Intl.DateTimeFormat(this.#locale, options)).format(new Date(`${date}T00:00:00Z`));
  }

  /** `12 min`: the largest unit that fits. */
  duration(ms: number): string {
    const [value, unit] = largest(Math.abs(ms));
    const key = `u ${this.#locale} ${unit}`;
    const options: Intl.NumberFormatOptions = { style: 'unit', unit, unitDisplay: 'short' };
    return cached(key, () => new Intl.NumberFormat(this.#locale, options)).format(value);
  }

  /** `12 minutes ago`, `in 3 hours`. */
  relative(at: Moment, now: Moment): string {
    const ms = Date.parse(at) - Date.parse(now);
    const [value, unit] = largest(Math.floor(Math.abs(ms) / 1000) * 1000);
    const key = `r ${this.#locale}`;
    const format = cached(key, () => new Intl.RelativeTimeFormat(this.#locale, { numeric: 'auto' }));
    return format.format(ms < 0 ? -value : value, unit);
  }

  /** `A, B or C`. */
  either(items: string[]): string {
    return cached(`l ${this.#locale}`, () => new Intl.ListFormat(this.#locale, { type: 'disjunction' })).format(items);
  }

  /** The language's name of a day of the week; `0` is Monday. */
  weekday(index: number): string {
    const monday = Date.UTC(2024, 0, 1);
    const options: Intl.DateTimeFormatOptions = { weekday: 'long', timeZone: 'UTC' };
    return cached(`w ${this.#locale}`, () => new Intl.DateTimeFormat(this.#locale, options)).format(monday + index * 86_400_000);
  }

  #date(kind: string, at: Moment, options: Intl.DateTimeFormatOptions): string {
    const key = `${kind} ${this.#locale} ${this.#zone}`;
    const format = cached(key, () => new Intl.DateTimeFormat(this.#locale, { ...options, timeZone: this.#zone }));
    const date = new Date(at);
    return Number.isNaN(date.getTime()) ? at : format.format(date);
  }
}

type Unit = 'second' | 'minute' | 'hour' | 'day';

function largest(ms: number): [number, Unit] {
  if (ms < 1000) return [Math.round(ms / 100) / 10, 'second'];
  if (ms < 60_000) return [Math.floor(ms / 1000), 'second'];
  if (ms < 3_600_000) return [Math.floor(ms / 60_000), 'minute'];
  if (ms < 2 * 86_400_000) return [Math.floor(ms / 3_600_000), 'hour'];
  return [Math.floor(ms / 86_400_000), 'day'];
}

/** A zone that this machine does not know must not keep the window from showing times. */
function known(zone: string | null): string | undefined {
  if (!zone) return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone;
  } catch {
    return undefined;
  }
}
