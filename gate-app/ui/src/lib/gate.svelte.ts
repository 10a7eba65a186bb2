/** All that the window knows: the core's state as it was told, and which part of it is on the screen. */
import { getContext, setContext } from 'svelte';
import { asCommandError, type Bridge } from './bridge';
import type {
  AppState,
  CommandError,
  Enrolment,
  GateId,
  Post,
  Settings,
  Supervision,
  SyncProgress,
  Trouble,
  Verdict,
  WindowStatus,
} from './contract';
import { explainError, Explainer } from './explain';
import { I18n } from './i18n/index.svelte';
import { mayOverride } from './present';
import { Scanning } from './scanning.svelte';
import { Sounds } from './sound';

export type Screen = 'scan' | 'history' | 'supervisor' | 'settings' | 'enrol' | 'post';

export const DEFAULT_SETTINGS: Settings = {
  language: 'en',
  volume: 0.8,
  ok_ms: 1800,
  attention_ms: 5000,
  refused_ms: 8000,
  hold_refusals: false,
  auto_lock_secs: 60,
  camera: null,
  larger_text: false,
  kiosk_camera: false,
};

const NEWS_MS = 6000;
/** Between two signs of life at most so often. */
const KEEP_MS = 5000;

export class Gate {
  state: AppState | null = $state.raw(null);
  status: WindowStatus | null = $state.raw(null);
  sync: SyncProgress | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);
  /** A trouble that leaves scanning possible, put aside by the steward. */
  troubleAside = $state(false);
  supervision: Supervision | null = $state.raw(null);
  settings: Settings = $state.raw(DEFAULT_SETTINGS);
  screen: Screen = $state('scan');
  /** A PIN is asked for; what is to be done after it. */
  asking: { then: () => void } | null = $state.raw(null);
  /** One line that says what went wrong or well, read aloud. */
  notice: { text: string; bad: boolean } | null = $state.raw(null);
  /** Corrected time, milliseconds; moves once a second. */
  nowMs = $state(Date.now());

  readonly bridge: Bridge;
  readonly i18n = new I18n();
  readonly sounds = new Sounds();
  readonly scanning: Scanning;
  /** Takes what readers type instead of scanning it: an invitation, the test of a reader. */
  takeText: ((text: string) => void) | null = null;

  readonly enrolment: Enrolment | null = $derived.by(() => {
    const { post, enrolments = [] } = this.state ?? {};
    return enrolments.find((e) => e.device_id === post?.device_id) ?? null;
  });
  readonly post: Post | null = $derived(this.state?.post ?? null);
  readonly now: string = $derived(new Date(this.nowMs).toISOString());
  readonly listName: string = $derived(this.enrolment?.lists.find((l) => l.id === this.post?.list)?.name ?? '');
  readonly gateName: string | null = $derived(this.post?.gate ? this.nameOfGate(this.post.gate) : null);
  /** The event names no supervisor: their tools need no PIN. An override and kiosk mode are for nobody then. */
  readonly unsupervised: boolean = $derived.by(() => {
    const { enrolment } = this;
    // Before the first manifest nobody knows who is on the list.
    return enrolment !== null && enrolment.title !== null && !enrolment.stewards.some((s) => s.supervisor);
  });
  readonly maySupervise: boolean = $derived(this.unsupervised || (this.supervision?.supervisor ?? false));

  #aheadMs = 0;
  #keptAt = Number.NEGATIVE_INFINITY;

  constructor(bridge: Bridge) {
    this.bridge = bridge;
    // In a kiosk nobody takes a refusal away.
    this.scanning = new Scanning(bridge, this.sounds, () =>
      this.state?.kiosk ? { ...this.settings, hold_refusals: false } : this.settings,
    );
  }

  /** Asks for everything and listens. Returns what ends it. */
  async start(): Promise<() => void> {
    const { bridge } = this;
    const ends = [
      bridge.listen('status', (status) => this.#setStatus(status)),
      bridge.listen('sync', (sync) => (this.sync = sync)),
      bridge.listen('supervision', (supervision) => (this.supervision = supervision)),
      bridge.listen('trouble', (trouble) => this.#setTrouble(trouble)),
      bridge.listen('app_state', (state) => this.setState(state)),
    ];
    const ticking = window.setInterval(() => this.#tick(), 1000);
    this.setState(await bridge.call('app_state'));
    const status = await bridge.call('status');
    if (status) this.#setStatus(status);
    return () => {
      for (const end of ends) end();
      clearInterval(ticking);
    };
  }

  setState(state: AppState): void {
    this.state = state;
    this.supervision = state.supervision;
    this.#setTrouble(state.trouble);
    this.#useSettings(state.settings);
    this.i18n.zone = this.enrolment?.time_zone ?? null;
  }

  /** Runs a command whose failure is told in one line; undefined if it failed. */
  async attempt<R>(command: () => Promise<R>): Promise<R | undefined> {
    try {
      const result = await command();
      this.notice = null;
      return result;
    } catch (thrown) {
      this.complain(asCommandError(thrown));
      return undefined;
    }
  }

  complain(error: CommandError): void {
    if (error.code === 'locked') this.supervision = null;
    if (error.code === 'internal') console.error(error.detail);
    this.complainInWords(explainError(this.i18n, error));
  }

  complainInWords(text: string): void {
    this.notice = { text, bad: true };
  }

  /** Good news goes by itself. */
  tell(text: string): void {
    const notice = { text, bad: false };
    this.notice = notice;
    window.setTimeout(() => {
      if (this.notice === notice) this.notice = null;
    }, NEWS_MS);
  }

  async setPost(change: Partial<Post>): Promise<boolean> {
    const post = this.state?.post;
    const next = { ...post, ...change } as Post;
    const state = await this.attempt(() => this.bridge.call('set_post', { post: next }));
    if (!state) return false;
    this.setState(state);
    return true;
  }

  async setSettings(change: Partial<Settings>): Promise<void> {
    const settings = { ...this.settings, ...change };
    this.#useSettings(settings);
    await this.attempt(() => this.bridge.call('set_settings', { settings }));
  }

  /** Runs something that only a supervisor may do, after the PIN if need be. */
  supervised(then: () => void): void {
    if (this.maySupervise) then();
    else this.asking = { then };
  }

  /** True where somebody could admit against the verdict. */
  overridable(verdict: Verdict): boolean {
    return !this.unsupervised && mayOverride(verdict);
  }

  async lock(): Promise<void> {
    this.supervision = null;
    await this.attempt(() => this.bridge.call('lock'));
  }

  /** Somebody touched the window. */
  async active(): Promise<void> {
    this.sounds.wake();
    const at = performance.now();
    if (!this.supervision || at - this.#keptAt < KEEP_MS) return;
    this.#keptAt = at;
    this.supervision = (await this.attempt(() => this.bridge.call('keep_unlocked'))) ?? null;
  }

  nameOfGate(id: GateId): string {
    return this.enrolment?.gates.find((gate) => gate.id === id)?.name ?? id.slice(0, 8);
  }

  explainer(): Explainer {
    return new Explainer(this.i18n, { list: this.listName, gate: (id) => this.nameOfGate(id), now: this.now });
  }

  #useSettings(settings: Settings): void {
    this.settings = settings;
    this.i18n.language = settings.language;
    this.sounds.volume = settings.volume;
    document.documentElement.lang = settings.language;
    document.documentElement.classList.toggle('larger', settings.larger_text);
  }

  #setStatus(status: WindowStatus): void {
    this.status = status;
    this.#aheadMs = Date.parse(status.now) - Date.now();
    this.#tick();
  }

  #setTrouble(trouble: Trouble | null): void {
    if (trouble?.kind !== this.trouble?.kind) this.troubleAside = false;
    this.trouble = trouble;
  }

  #tick(): void {
    this.nowMs = Date.now() + this.#aheadMs;
    // The core locks; a window that missed its word must not look unlocked.
    if (this.supervision && Date.parse(this.supervision.until) <= this.nowMs) this.supervision = null;
  }
}

const KEY = Symbol('gate');

export function provideGate(gate: Gate): Gate {
  return setContext(KEY, gate);
}

export function useGate(): Gate {
  return getContext<Gate>(KEY);
}
