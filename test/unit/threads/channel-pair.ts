/** A page channel in one thread: our end is given to the task under test, the test plays the other end. */
import { onTestFinished } from 'vitest';
import { native, type Socket } from '../../../src/native.js';

/** More than a socket holds. */
const CHUNK = 256 * 1024;

export class OtherEnd {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
    onTestFinished(() => this.close());
  }

  /** As much as fits. */
  put(bytes: Uint8Array): number {
    return native.writeFd(this.#fd, bytes);
  }

  /** All of it; when nothing more fits, `step` takes some. */
  putAll(bytes: Uint8Array, step: () => unknown): void {
    for (let at = 0; at < bytes.length; step()) at += this.put(bytes.subarray(at));
  }

  /** All that is there now, at most `most` bytes of it. */
  take(most = Infinity): Buffer {
    const parts: Buffer[] = [];
    for (let left = most; left > 0;) {
      const part = Buffer.alloc(Math.min(CHUNK, left));
      const got = native.readFd(this.#fd, part);
      if (got <= 0) break;
      parts.push(part.subarray(0, got));
      left -= got;
    }
    return Buffer.concat(parts);
  }

  takeWords(): number[] {
    return [...new Uint32Array(Uint8Array.from(this.take()).buffer)];
  }

  close(): void {
    if (this.#fd >= 0) native.closeFd(this.#fd);
    this.#fd = -1;
  }
}

export function channelPair(): { socket: Socket; other: OtherEnd } {
  const [ours, others] = native.socketPair();
  const socket = new native.Socket('adopt', ours);
  onTestFinished(() => socket.close());
  return { socket, other: new OtherEnd(others) };
}

/** 32-bit words as they lie on the wire. */
export function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Another content for each page, and none of it zero. */
export function contentOf(page: number): Buffer {
  return Buffer.alloc(
    4096,
    Uint8Array.from({ length: 251 }, (_, i) => 1 + ((page * 7 + i) % 255)),
  );
}

/** Where to cut a stream: near what begins or ends in it, and now and then between. page-inbox.test.ts cuts everywhere. */
export function cutsNear(marks: readonly number[], length: number): number[] {
  const isNear = (cut: number) => marks.some((mark) => Math.abs(cut - mark) <= 17);
  return Array.from({ length: length + 1 }, (_, cut) => cut).filter((cut) => cut % 97 === 0 || isNear(cut));
}
