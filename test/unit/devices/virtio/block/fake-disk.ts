import {
  DISK_DISCARD,
  DISK_READ,
  DISK_SYNC,
  DISK_WRITE,
  DISK_WRITE_THROUGH,
  DISK_WRITE_ZEROES,
  DISK_WRITE_ZEROES_UNMAP,
  type NativeDisk,
  type NativeMemory,
} from '../../../../../src/native.js';
import { sliceSegments, type Segment } from '../../../../../src/devices/virtio/segment.js';

export interface Submitted {
  id: number;
  kind: number;
  segments: Segment[];
  offset: number;
  length: number;
}

/** A disk in memory. Requests wait until a test ends them. */
export class FakeDisk implements NativeDisk {
  readonly handle = 1;
  readonly fd = 77;
  readonly content: Uint8Array;
  readonly waiting: Submitted[] = [];
  calls: string[] = [];
  /** What waitIdle() and ended() were to wait for, in milliseconds. */
  readonly waits: number[] = [];
  syncEnds = true;
  /** Thrown by submit() and ended(). */
  submitError: Error | undefined;
  syncError: Error | undefined;
  /** What waitIdle() does about those that wait; false: they do not end. */
  onWaitIdle: () => boolean = () => {
    while (this.waiting.length > 0) this.end(0);
    return true;
  };
  #memory: NativeMemory | undefined;
  #ended: [number, number][] = [];

  constructor(readonly bytes: number) {
    this.content = Uint8Array.from({ length: bytes }, (_, at) => (at >> 9) + at);
  }

  submit(
    id: number,
    kind: number,
    memory: NativeMemory,
    segments: Float64Array,
    count: number,
    offset: number,
    length: number,
  ): void {
    if (this.submitError !== undefined) throw this.submitError;
    if (this.waiting.some((other) => other.id === id)) throw new Error(`${id} is in flight already`);
    if (offset + length > this.bytes) throw new RangeError('bytes outside of the disk');
    this.#memory = memory;
    const list = Array.from({ length: count }, (_, i) => ({
      ramOffset: segments[2 * i]!,
      length: segments[2 * i + 1]!,
    }));
    this.waiting.push({ id, kind, segments: list, offset, length });
  }

  /** Does the request at this place of `waiting`, or fails it with an errno. */
  end(index: number, errno = 0): void {
    const [request] = this.waiting.splice(index, 1);
    if (request === undefined) throw new Error('nothing waits there');
    if (errno === 0) this.#do(request);
    this.#ended.push([request.id, errno]);
  }

  completions(into: Int32Array): number {
    const taken = this.#ended.splice(0, into.length >> 1);
    into.set(taken.flat());
    return taken.length;
  }

  waitIdle(timeoutMs: number): boolean {
    this.calls.push('waitIdle');
    this.waits.push(timeoutMs);
    return this.onWaitIdle();
  }

  begin(call: number): number {
    if (call !== DISK_SYNC) throw new Error('the device worker syncs, and no more');
    this.calls.push('sync');
    return this.calls.length;
  }

  ended(_call: number, _number: number, timeoutMs: number): boolean {
    this.waits.push(timeoutMs);
    if (this.syncError !== undefined) throw this.syncError;
    return this.syncEnds;
  }

  lockAlso(): void {}
  sampleAt(): void {}
  sampleOffsets = (): Float64Array => new Float64Array(0);
  sampleContent = (): Uint8Array => new Uint8Array(0);
  detach(): void {}
  close = (): boolean => true;

  #do({ kind, segments, offset, length }: Submitted): void {
    if (kind === DISK_DISCARD || kind === DISK_WRITE_ZEROES || kind === DISK_WRITE_ZEROES_UNMAP) {
      this.content.fill(0, offset, offset + length);
    }
    if (kind !== DISK_READ && kind !== DISK_WRITE && kind !== DISK_WRITE_THROUGH) return;
    let at = offset;
    for (const segment of sliceSegments(segments, 0, length)) {
      const part = this.content.subarray(at, at + segment.length);
      if (kind === DISK_READ) this.#memory!.write(segment.ramOffset, part);
      else this.#memory!.read(segment.ramOffset, part);
      at += segment.length;
    }
  }
}
