/** Pictures as gray bytes: what the core's decoder reads. */
import { newNonce } from './bridge';
import type { GrayFrame } from './contract';

/** Longer sides are scaled down: a code that needs more pixels fills the picture anyway. */
const MAX_CAMERA_SIDE = 1280;
const MAX_IMAGE_SIDE = 2400;

/** Luma of each pixel (BT.601 in integers). Transparent pixels count as white paper. */
export function toGray(rgba: Uint8ClampedArray): Uint8Array {
  const gray = new Uint8Array(rgba.length / 4);
  for (let pixel = 0, at = 0; pixel < gray.length; pixel++, at += 4) {
    const luma = (77 * rgba[at]! + 150 * rgba[at + 1]! + 29 * rgba[at + 2]!) >> 8;
    const alpha = rgba[at + 3]!;
    gray[pixel] = alpha === 255 ? luma : ((luma * alpha + 255 * (255 - alpha)) / 255) | 0;
  }
  return gray;
}

/** Width and height within a longest side, in proportion. */
export function fit(width: number, height: number, side: number): [number, number] {
  const scale = Math.min(1, side / Math.max(width, height, 1));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** Draws pictures onto one canvas that is kept: a new one for every frame would be garbage twelve times a second. */
export class Grabber {
  readonly #canvas = document.createElement('canvas');
  #context: CanvasRenderingContext2D | null = null;

  grab(picture: CanvasImageSource, size: [number, number], source: GrayFrame['source']): GrayFrame | null {
    const [width, height] = fit(...size, source === 'camera' ? MAX_CAMERA_SIDE : MAX_IMAGE_SIDE);
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    this.#context ??= this.#canvas.getContext('2d', { willReadFrequently: true });
    if (!this.#context) return null;
    this.#context.clearRect(0, 0, width, height);
    this.#context.drawImage(picture, 0, 0, width, height);
    const { data } = this.#context.getImageData(0, 0, width, height);
    return { width, height, pixels: toGray(data), nonce: newNonce(), source };
  }
}

/** A picture file as a frame; null if it cannot be opened as one. */
export async function frameOfFile(file: Blob): Promise<GrayFrame | null> {
  try {
    const bitmap = await createImageBitmap(file);
    const frame = new Grabber().grab(bitmap, [bitmap.width, bitmap.height], 'image');
    bitmap.close();
    return frame;
  } catch {
    return null;
  }
}
