/**
 * The device worker's end of the serial line: a Unix socket to the main thread. Never waits: a guest is not held up by
 * whoever reads its console, so beyond a bound output is dropped, oldest last.
 */
import type { ConsoleLine } from '../devices/virtio/console/console-line.js';
import { native } from '../native.js';
import { UnsentOutput } from './unsent-output.js';

const MOST_UNSENT = 1024 * 1024;
const READ_BYTES = 4096;
/** Gathered bytes wait so long at most, in microseconds, and so many at most. */
const GATHER_MICROS = 5000;
const GATHER_BYTES = 1024;
const MICROS_PER_MS = 1000;

export class SerialLine implements ConsoleLine {
  readonly #fd: number;
  readonly #nowMicros: () => number;
  readonly #input = new Uint8Array(READ_BYTES);
  readonly #unsent = new UnsentOutput();
  #open = true;
  /** The other end took less than there was. */
  #blocked = false;
  /** When gathered bytes are to be sent, by the clock. */
  #dueMicros = Infinity;

  /** `nowMicros`: a clock that never steps back, in microseconds. */
  constructor(fd: number, nowMicros: () => number = native.monotonicMicros) {
    this.#fd = fd;
    this.#nowMicros = nowMicros;
  }

  /** The descriptor, for poll(). */
  get fd(): number {
    return this.#fd;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Output waits for the other end. */
  get blocked(): boolean {
    return this.#blocked;
  }

  write(bytes: Uint8Array): void {
    // What is blocked waits for poll(): a try for each byte more would be a system call in vain.
    if (this.#keep(bytes) && !this.#blocked) this.flush();
  }

  /**
   * Keeps single bytes back: they go out together, after some milliseconds. Each sent by itself wakes the main thread and
   * whoever reads the console, which on a busy core costs the guest many times what it took to print it.
   */
  gather(bytes: Uint8Array): void {
    if (!this.#keep(bytes) || this.#blocked) return;
    if (this.#unsent.length >= GATHER_BYTES) this.flush();
    else if (this.#dueMicros === Infinity) this.#dueMicros = this.#nowMicros() + GATHER_MICROS;
  }

  /** Milliseconds until gathered bytes are due; Infinity if there are none. */
  msToFlush(): number {
    return this.#dueMicros === Infinity ? Infinity : Math.max(0, this.#msLeft());
  }

  flushIfDue(): void {
    if (this.#dueMicros !== Infinity && this.#msLeft() <= 0) this.flush();
  }

  flush(): void {
    this.#dueMicros = Infinity;
    this.#blocked = false;
    while (this.#open && this.#unsent.length > 0) {
      const { oldest } = this.#unsent;
      const sent = this.#guard(() => native.writeFd(this.#fd, oldest)) ?? 0;
      this.#unsent.drop(sent);
      if (sent < oldest.length) {
        this.#blocked = this.#open;
        return;
      }
    }
  }

  /** What has come in, at most `most` bytes; undefined if nothing. */
  read(most: number): Uint8Array | undefined {
    if (most <= 0 || !this.#open) return undefined;
    const got = this.#guard(() => native.readFd(this.#fd, this.#input.subarray(0, Math.min(most, READ_BYTES))));
    if (got === 0) this.#open = false;
    return got !== undefined && got > 0 ? this.#input.slice(0, got) : undefined;
  }

  #msLeft(): number {
    return (this.#dueMicros - this.#nowMicros()) / MICROS_PER_MS;
  }

  /** False if the bytes are dropped. */
  #keep(bytes: Uint8Array): boolean {
    if (!this.#open || this.#unsent.length + bytes.length > MOST_UNSENT) return false;
    this.#unsent.add(bytes);
    return true;
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
