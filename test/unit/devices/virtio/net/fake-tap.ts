import type { NativeMemory } from '../../../../../src/native.js';

type Memory = Pick<NativeMemory, 'read' | 'write'>;

/** A TAP device without a kernel. */
export class FakeTap {
  readonly fd = 77;
  /** Frames that wait for the guest, headers included. */
  waiting: Uint8Array[] = [];
  sent: number[][] = [];
  /** Frames it still takes. */
  room = Infinity;
  offloads: boolean[] | undefined;
  deleted = false;

  setOffloads(...offloads: boolean[]): void {
    if (this.deleted) throw Object.assign(new Error('File descriptor in bad state'), { code: 'EBADFD' });
    this.offloads = offloads;
  }

  send(memory: Memory, header: Uint8Array, segments: Float64Array, count: number): number {
    const bytes = [...header];
    this.#each(segments, count, (offset, length) => {
      const part = new Uint8Array(length);
      memory.read(offset, part);
      bytes.push(...part);
    });
    return this.#take(bytes);
  }

  write(bytes: Uint8Array): number {
    return this.#take([...bytes]);
  }

  receive(memory: Memory, segments: Float64Array, count: number): number {
    if (this.deleted) return -2;
    const frame = this.waiting.shift();
    if (frame === undefined) return -1;
    let at = 0;
    this.#each(segments, count, (offset, length) => {
      const part = frame.subarray(at, at + length);
      // The kernel leaves num_buffers as it is.
      part.forEach((byte, i) => {
        if (at + i !== 10 && at + i !== 11) memory.write(offset + i, Uint8Array.of(byte));
      });
      at += part.length;
    });
    return frame.length;
  }

  discard(most: number): number {
    return this.waiting.splice(0, most).length;
  }

  #take(bytes: number[]): number {
    if (this.room === 0) return -1;
    this.room--;
    this.sent.push(bytes);
    return bytes.length;
  }

  #each(segments: Float64Array, count: number, visit: (offset: number, length: number) => void): void {
    for (let i = 0; i < count; i++) visit(segments[2 * i]!, segments[2 * i + 1]!);
  }
}
