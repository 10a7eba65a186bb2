/** What happened and what to do, for each trouble that the core names. */
import type { Trouble } from './contract';
import type { I18n } from './i18n/index.svelte';

export interface Advice {
  title: string;
  what: string;
  steps: string[];
  /** Nobody can be let in while it lasts. */
  blocks: boolean;
}

export function advise(trouble: Trouble, i18n: I18n, now: string): Advice {
  const { format } = i18n;
  const of = (what: string, blocks: boolean): Advice => ({
    title: i18n.t(`trouble.${trouble.kind}.title`),
    what,
    steps: i18n.t(`trouble.${trouble.kind}.do`).split('\n'),
    blocks,
  });
  switch (trouble.kind) {
    case 'disk_full':
      return of(i18n.t('trouble.disk_full.what', { free: megabytes(trouble.free_bytes, i18n), path: trouble.path }), true);
    case 'disk_read_only':
      return of(i18n.t('trouble.disk_read_only.what', { path: trouble.path }), true);
    case 'disk_error':
      return of(i18n.t('trouble.disk_error.what', { path: trouble.path }), true);
    case 'database_damaged':
      return of(boxed('trouble.database_damaged.what', trouble.black_box, {}, i18n), true);
    case 'database_repaired':
      return of(boxed('trouble.database_repaired.what', trouble.black_box, { file: trouble.kept_as }, i18n), false);
    case 'database_lost':
      return of(boxed('trouble.database_lost.what', trouble.black_box, { file: trouble.kept_as }, i18n), true);
    case 'database_newer':
      return of(i18n.t('trouble.database_newer.what', { found: trouble.found, known: trouble.known }), true);
    case 'clock_wrong':
      return of(i18n.t('trouble.clock_wrong.what', { offset: format.duration(trouble.offset_ms) }), false);
    case 'revoked':
      if (trouble.wiped) return of(i18n.t('trouble.revoked.wiped'), true);
      return of(trouble.unsent > 0 ? i18n.n('trouble.revoked.what', trouble.unsent) : i18n.t('trouble.revoked.sent'), true);
    case 'manifest_expired':
      return of(i18n.t('trouble.manifest_expired.what', { time: format.time(trouble.since, now) }), false);
    case 'manifest_unusable':
      return of(i18n.t('trouble.manifest_unusable.what'), true);
  }
}

/** How much the second copy of the log holds is said where it holds anything. */
function boxed(
  key: `trouble.database_${'damaged' | 'repaired' | 'lost'}.what`,
  entries: number,
  values: { file?: string },
  i18n: I18n,
): string {
  return entries === 0 ? i18n.t(`${key}_none`, values) : i18n.n(key, entries, values);
}

function megabytes(bytes: number, i18n: I18n): string {
  return `${i18n.format.number(Math.floor(bytes / 1_000_000))} MB`;
}
