import { EventEmitter, once } from 'node:events';
import { constants } from 'node:os';
import { within } from './deadline.js';
import { encodeFrame, FrameType, PAYLOAD_LIMIT } from './frames.js';

/** A process inside a virtual host. Emits 'stdout' and 'stderr' (string) as they come, and 'end'. */
export class RemoteProcess extends EventEmitter {
  readonly #id: number;
  readonly #send: (frame: Buffer) => void;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  /** What it printed up to now. */
  stdout = '';
  stderr = '';
  /** When its standard output came: `stdout` was `length` long at `time` (this machine's clock, milliseconds). */
  readonly arrivals: { length: number; time: number }[] = [];
  /** Its exit code, or 128 + the signal's number; undefined while it runs. */
  code: number | undefined;
  /** Why its host ended before it did. */
  lost: Error | undefined;

  constructor(
    id: number,
    readonly command: string,
    send: (frame: Buffer) => void,
  ) {
    super();
    this.#id = id;
    this.#send = send;
  }

  write(bytes: Uint8Array | string): void {
    const input = Buffer.from(bytes);
    for (let at = 0; at < input.length; at += PAYLOAD_LIMIT) {
      this.#send(encodeFrame(this.#id, FrameType.Stdin, input.subarray(at, at + PAYLOAD_LIMIT)));
    }
  }

  endInput(): void {
    this.#send(encodeFrame(this.#id, FrameType.Stdin));
  }

  /** Signals it and every process it started (its group). */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32LE(constants.signals[signal]);
    this.#send(encodeFrame(this.#id, FrameType.Signal, payload));
  }

  /** Waits for its end; the exit code. Kills it after `timeoutMs` and throws. */
  async ended(timeoutMs: number): Promise<number> {
    try {
      await within(timeoutMs, this.#end(), () => `"${this.command}" has not ended; ${this.describeOutput()}`);
    } catch (error) {
      if (this.lost === undefined && this.code === undefined) this.kill();
      throw error;
    }
    return this.code ?? 0;
  }

  /** Waits until its output has a match; the match. Throws if it ends first. */
  output(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return this.until(`print ${pattern}`, () => pattern.exec(this.stdout) ?? pattern.exec(this.stderr), timeoutMs);
  }

  /** Waits until `find`, asked again after every output, has a result. Throws if the process ends first. */
  until<T>(what: string, find: () => T | null | undefined, timeoutMs: number): Promise<T> {
    const describe = (): string => `"${this.command}" did not ${what}; ${this.describeOutput()}`;
    return within(timeoutMs, this.#find(find, describe), describe);
  }

  describeOutput(): string {
    const tail = (text: string): string => text.slice(-2000).trim() || '(nothing)';
    return `stdout: ${tail(this.stdout)}; stderr: ${tail(this.stderr)}`;
  }

  /** For the channel: bytes that the process wrote. */
  take(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const text = this.#decoders[stream].decode(bytes, { stream: true });
    this[stream] += text;
    if (stream === 'stdout') this.arrivals.push({ length: this.stdout.length, time: performance.now() });
    this.emit(stream, text);
  }

  /** For the channel: the process is over, or its host is. */
  finish(code: number | undefined, lost?: Error): void {
    this.code = code;
    this.lost = lost;
    this.emit('end');
  }

  async #end(): Promise<void> {
    if (this.code === undefined && this.lost === undefined) await once(this, 'end');
    if (this.lost !== undefined) throw this.lost;
  }

  async #find<T>(find: () => T | null | undefined, describe: () => string): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== null && found !== undefined) return found;
      if (this.lost !== undefined) throw this.lost;
      if (this.code !== undefined) throw new Error(`Ended with ${this.code}: ${describe()}`);
      await this.#change();
    }
  }

  async #change(): Promise<void> {
    const events = ['stdout', 'stderr', 'end'];
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        for (const event of events) this.off(event, wake);
        resolve();
      };
      for (const event of events) this.on(event, wake);
    });
  }
}
