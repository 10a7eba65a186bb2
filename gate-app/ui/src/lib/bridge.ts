import type { AnswerOf, ArgsOf, CommandError, CommandName, EventName, Events, Nonce } from './contract';

/** The way to the app: commands with an answer, events without. */
export interface Bridge {
  call<K extends CommandName>(command: K, ...args: ArgsOf<K>): Promise<AnswerOf<K>>;
  /** Returns what ends it. */
  listen<E extends EventName>(event: E, hear: (payload: Events[E]) => void): () => void;
}

/** Anything that a command threw, as the contract words it. */
export function asCommandError(thrown: unknown): CommandError {
  if (typeof thrown === 'object' && thrown !== null && 'code' in thrown && 'detail' in thrown) {
    return thrown as CommandError;
  }
  return { code: 'internal', detail: thrown instanceof Error ? thrown.message : String(thrown) };
}

/** A new name for an attempt. */
export function newNonce(): Nonce {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
