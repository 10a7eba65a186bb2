import type { GrayFrame } from './contract';
import { Grabber } from './frame';

export type CameraTrouble = 'lost' | 'none' | 'denied' | 'busy' | 'silent';

/** Between two frames at least; the next one is never sent before the last one is answered. */
const FRAME_MS = 80;
/** A camera that was opened and sends nothing for so long is broken: the web view would wait for ever. */
const FIRST_PICTURE_MS = 10_000;

class Silent extends Error {
  override name = 'Silent';
}

/** What a browser's refusal means to people. */
export function troubleOf(error: unknown): CameraTrouble {
  const name = error instanceof Error ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    case 'Silent':
      return 'silent';
    default:
      // NotFoundError, and OverconstrainedError, which WebKitGTK throws where there is no camera at all.
      return 'none';
  }
}

interface TorchCapabilities extends MediaTrackCapabilities {
  torch?: boolean;
}

/** One camera, looked through until it is stopped. */
export class Camera {
  running = $state(false);
  starting = $state(false);
  trouble: CameraTrouble | null = $state(null);
  devices: MediaDeviceInfo[] = $state([]);
  hasTorch = $state(false);
  torch = $state(false);

  readonly #look: (frame: GrayFrame) => Promise<void>;
  readonly #grabber = new Grabber();
  #stream: MediaStream | null = null;
  #video: HTMLVideoElement | null = null;
  #timer = 0;
  #run = 0;

  constructor(look: (frame: GrayFrame) => Promise<void>) {
    this.#look = look;
  }

  async start(video: HTMLVideoElement, deviceId: string | null): Promise<void> {
    this.stop();
    const run = ++this.#run;
    this.starting = true;
    this.trouble = null;
    try {
      const media = navigator.mediaDevices as MediaDevices | undefined;
      if (!media?.getUserMedia) throw new Error('no camera interface');
      const stream = await media.getUserMedia({ audio: false, video: wanted(deviceId) });
      if (run !== this.#run) return end(stream);
      this.#stream = stream;
      this.#video = video;
      video.srcObject = stream;
      await firstPicture(video.play());
      if (run !== this.#run) return;
      const [track] = stream.getVideoTracks();
      track?.addEventListener('ended', () => run === this.#run && this.#lose());
      const capabilities = track?.getCapabilities?.() as TorchCapabilities | undefined;
      this.hasTorch = capabilities?.torch === true;
      this.running = true;
      // Names of cameras are told only after one was allowed.
      this.devices = (await media.enumerateDevices()).filter((device) => device.kind === 'videoinput');
      this.#next(run);
    } catch (error) {
      if (run !== this.#run) return;
      this.stop();
      this.trouble = troubleOf(error);
    } finally {
      if (run === this.#run) this.starting = false;
    }
  }

  stop(): void {
    this.#run++;
    clearTimeout(this.#timer);
    end(this.#stream);
    this.#stream = null;
    if (this.#video) this.#video.srcObject = null;
    this.#video = null;
    this.running = false;
    this.starting = false;
    this.hasTorch = false;
    this.torch = false;
    this.trouble = null;
  }

  async setTorch(on: boolean): Promise<void> {
    const [track] = this.#stream?.getVideoTracks() ?? [];
    try {
      await track?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] });
      this.torch = on;
    } catch {
      this.hasTorch = false;
    }
  }

  #lose(): void {
    this.stop();
    this.trouble = 'lost';
  }

  #next(run: number): void {
    this.#timer = window.setTimeout(() => void this.#frame(run), FRAME_MS);
  }

  async #frame(run: number): Promise<void> {
    const video = this.#video;
    if (run !== this.#run || !video) return;
    if (video.videoWidth > 0 && document.visibilityState !== 'hidden') {
      const frame = this.#grabber.grab(video, [video.videoWidth, video.videoHeight], 'camera');
      if (frame) await this.#look(frame);
    }
    if (run === this.#run) this.#next(run);
  }
}

async function firstPicture(playing: Promise<void>): Promise<void> {
  let timer = 0;
  const silence = new Promise<never>((_, fail) => {
    timer = window.setTimeout(() => fail(new Silent(`no picture for ${FIRST_PICTURE_MS} ms`)), FIRST_PICTURE_MS);
  });
  try {
    await Promise.race([playing, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function wanted(deviceId: string | null): MediaTrackConstraints {
  const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
  return deviceId ? { ...size, deviceId: { ideal: deviceId } } : { ...size, facingMode: { ideal: 'environment' } };
}

function end(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
