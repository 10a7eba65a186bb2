/** A camera that was opened. What a browser refuses is tried in the real window. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Camera } from '../src/lib/camera.svelte';

const track = { stop: vi.fn(), addEventListener: vi.fn() };
const stream = { getTracks: () => [track], getVideoTracks: () => [track] };

beforeEach(() => {
  vi.useFakeTimers();
  const mediaDevices = { getUserMedia: () => Promise.resolve(stream), enumerateDevices: () => Promise.resolve([]) };
  vi.stubGlobal('navigator', { mediaDevices });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  track.stop.mockClear();
});

const playing = (play: () => Promise<void>): HTMLVideoElement =>
  ({ play, srcObject: null, videoWidth: 0 }) as unknown as HTMLVideoElement;

it('and sends no picture is told as broken and let go', async () => {
  const camera = new Camera(() => Promise.resolve());
  const started = camera.start(playing(() => new Promise(() => undefined)), null);
  await vi.advanceTimersByTimeAsync(9_999);
  expect([camera.starting, camera.trouble]).toEqual([true, null]);
  await vi.advanceTimersByTimeAsync(1);
  await started;
  expect([camera.starting, camera.running, camera.trouble]).toEqual([false, false, 'silent']);
  expect(track.stop).toHaveBeenCalledOnce();
});

it('and sends pictures is not given up later', async () => {
  const camera = new Camera(() => Promise.resolve());
  await camera.start(playing(() => Promise.resolve()), null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([camera.running, camera.trouble]).toEqual([true, null]);
  camera.stop();
});
