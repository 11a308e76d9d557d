import { closeSync, constants, openSync, write } from 'node:fs';
import { Writable } from 'node:stream';

const RETRY_MS = 10;

/**
 * A stream to a terminal, or a pipe, that never stops the thread. Node's own writes to a terminal wait in write(2): one that does
 * not read (a stopped terminal emulator, a dead remote login) would stop the main thread, and with it the control
 * socket and a migration. `open` puts a descriptor of its own on the terminal, so that O_NONBLOCK stays with it.
 */
export class TerminalOutput extends Writable {
  readonly #fd: number;
  #retry: NodeJS.Timeout | undefined;
  #writing = false;

  private constructor(fd: number) {
    super({ highWaterMark: 1 });
    this.#fd = fd;
  }

  /** Undefined where it cannot be opened again, as a terminal after su(1). Not for a file: it would begin anew. */
  static open(terminalFd: number): TerminalOutput | undefined {
    try {
      return new TerminalOutput(
        openSync(`/proc/self/fd/${terminalFd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY),
      );
    } catch {
      return undefined;
    }
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writing = true;
    write(this.#fd, bytes, (error, written) => {
      this.#writing = false;
      if (this.destroyed) return closeSync(this.#fd);
      if (error !== null && error.code !== 'EAGAIN') return done(error);
      const rest = error === null ? bytes.subarray(written) : bytes;
      if (rest.length === 0) return done();
      // Not unref'ed: the last words of a guest are worth the wait, and close() bounds it.
      this.#retry = setTimeout(() => this._write(rest, '', done), RETRY_MS);
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#retry);
    // A descriptor that a pool thread is just writing to must not be closed: its number may be another file's by then.
    if (!this.#writing) closeSync(this.#fd);
    done(error);
  }
}
