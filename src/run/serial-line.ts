/**
 * The device worker's end of the serial line: a Unix socket to the main thread. Never waits: a guest is not held up by
 * whoever reads its console, so beyond a bound output is dropped, oldest last.
 */
import type { ConsoleLine } from '../devices/virtio/console/console-line.js';
import { native } from '../native.js';
import { UnsentOutput } from './unsent-output.js';

const MOST_UNSENT = 1024 * 1024;
const READ_BYTES = 4096;

export class SerialLine implements ConsoleLine {
  readonly #fd: number;
  readonly #input = new Uint8Array(READ_BYTES);
  readonly #unsent = new UnsentOutput();
  #open = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** For poll(). */
  get fd(): number {
    return this.#fd;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Output waits for the other end. */
  get blocked(): boolean {
    return this.#unsent.length > 0;
  }

  write(bytes: Uint8Array): void {
    if (!this.#open || this.#unsent.length + bytes.length > MOST_UNSENT) return;
    // What waits already waits for poll(): a try for each byte more would be a system call in vain.
    const waits = this.blocked;
    this.#unsent.add(bytes);
    if (!waits) this.flush();
  }

  flush(): void {
    while (this.#open && this.blocked) {
      const { oldest } = this.#unsent;
      const sent = this.#guard(() => native.writeFd(this.#fd, oldest)) ?? 0;
      this.#unsent.drop(sent);
      if (sent < oldest.length) return;
    }
  }

  /** What has come in, at most `most` bytes; undefined if nothing. */
  read(most: number): Uint8Array | undefined {
    if (most <= 0 || !this.#open) return undefined;
    const got = this.#guard(() => native.readFd(this.#fd, this.#input.subarray(0, Math.min(most, READ_BYTES))));
    if (got === 0) this.#open = false;
    return got !== undefined && got > 0 ? this.#input.slice(0, got) : undefined;
  }

  /** The other end is gone when a transfer fails: the guest's output then goes nowhere. */
  #guard(transfer: () => number): number | undefined {
    try {
      return transfer();
    } catch {
      this.#open = false;
      return undefined;
    }
  }
}
