import { invoke, isTauri } from '@tauri-apps/api/core';
import { listen as listenTo } from '@tauri-apps/api/event';
import type { Bridge } from './bridge';
import type { AnswerOf, ArgsOf, CommandName, EventName, Events, GrayFrame } from './contract';

/** True inside the app; a plain browser has no one to ask. */
export const insideApp = isTauri;

/** The app's command channel. */
export const tauri: Bridge = {
  call<K extends CommandName>(command: K, ...args: ArgsOf<K>): Promise<AnswerOf<K>> {
    const [first] = args as [unknown?];
    if (isFrame(first)) {
      const { pixels, width, height, nonce, source } = first;
      // Raw bytes: as JSON numbers a frame would be four times as long.
      const headers = { width: String(width), height: String(height), nonce, source };
      return invoke<AnswerOf<K>>(command, pixels, { headers });
    }
    return invoke<AnswerOf<K>>(command, first as Record<string, unknown> | undefined);
  },
  listen<E extends EventName>(event: E, hear: (payload: Events[E]) => void): () => void {
    let ended = false;
    const unlisten = listenTo<Events[E]>(event, ({ payload }) => {
      if (!ended) hear(payload);
    });
    return () => {
      ended = true;
      void unlisten.then((end) => end());
    };
  },
};

function isFrame(value: unknown): value is GrayFrame {
  return typeof value === 'object' && value !== null && 'pixels' in value && value.pixels instanceof Uint8Array;
}
