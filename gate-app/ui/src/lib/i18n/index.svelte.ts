/** Words of the chosen language. Reading them in a component makes it follow a change at once. */
import { Format } from '../format';
import { LANGUAGES, type Language } from '../contract';
import { de } from './de';
import { type Catalogue, en, type Key } from './en';
import { es } from './es';
import { fr } from './fr';

export const CATALOGUES: Record<Language, Catalogue> = { en, de, es, fr };

/** Keys that have a form for one and a form for other numbers. */
export type CountKey = { [K in Key]: K extends `${infer Stem}_other` ? (`${Stem}_one` extends Key ? Stem : never) : never }[Key];

export type Values = Record<string, string | number>;

function fill(text: string, values: Values): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The language of the machine, if the window speaks it. */
export function preferred(languages: readonly string[]): Language {
  for (const tag of languages) {
    const found = LANGUAGES.find((language) => tag.toLowerCase().split('-')[0] === language);
    if (found) return found;
  }
  return 'en';
}

export class I18n {
  language: Language = $state('en');
  /** The venue's time zone; null = the machine's. */
  zone: string | null = $state(null);
  readonly format: Format = $derived(new Format(this.language, this.zone));

  /** The words at a key. */
  t(key: Key, values: Values = {}): string {
    return fill(CATALOGUES[this.language][key], values);
  }

  /** The words for so many. */
  n(key: CountKey, count: number, values: Values = {}): string {
    const one = new Intl.PluralRules(this.language).select(count) === 'one';
    return this.t(`${key}_${one ? 'one' : 'other'}` as Key, { count: this.format.number(count), ...values });
  }
}
