/**
 * Joins the guest's serial port to everybody who reads and writes it. Runs in the main thread, which also hands over
 * migrations: nothing here waits. Output that a reader does not take is dropped for that reader alone.
 */
import type { Duplex, Readable, Writable } from 'node:stream';
import { RecentOutput } from './recent-output.js';

/** A console that attaches late sees this much of what was there before. */
export const RECENT_OUTPUT_BYTES = 64 * 1024;
/** A reader that is this much behind misses what comes next. */
export const READER_BACKLOG_BYTES = 1024 * 1024;
/** What a client was sent last has this long to go out when the VM is over. */
const LAST_OUTPUT_MS = 500;
/** Typed input beyond this, which the guest has not read, is dropped. */
export const INPUT_BACKLOG_BYTES = 64 * 1024;

export interface RecentBytes {
  /** A copy, oldest byte first. */
  bytes: Buffer;
  /** Number of the byte behind the last one, of all that the guest has written. */
  end: number;
}

export class SerialHub {
  readonly #recent = new RecentOutput(RECENT_OUTPUT_BYTES);
  readonly #readers = new Set<Writable>();
  readonly #writers = new Set<Readable>();
  readonly #consoles = new Set<Duplex>();
  readonly #detachPort: (() => void)[] = [];
  #port: Duplex | undefined;
  #closed = false;

  /** Takes a serial port in place of the one before: after a reset the guest has a new one. */
  attach(port: Duplex): void {
    this.detach();
    if (this.#closed) {
      port.destroy();
      return;
    }
    this.#port = port;
    this.#listen(port, 'data', (bytes: Buffer) => this.#output(bytes));
    this.#listen(port, 'drain', () => this.#resumeWriters());
    this.#listen(port, 'close', () => this.detach());
    // Its 'close' follows, and the guest's end is what reports trouble: here it is only the end of the output.
    port.on('error', () => {});
    this.#resumeWriters();
  }

  detach(): void {
    for (const undo of this.#detachPort.splice(0)) undo();
    this.#port = undefined;
  }

  /** Sends the guest's output to the stream from now on, until it closes or fails. */
  addReader(reader: Writable): void {
    this.#readers.add(reader);
    const remove = () => this.#readers.delete(reader);
    reader.once('close', remove).on('error', remove);
  }

  /**
   * A client with both directions: sees the recent output, then the live one. One that writes faster than the guest
   * reads is held back.
   */
  addConsole(stream: Duplex): void {
    if (this.#closed) {
      stream.destroy();
      return;
    }
    this.#consoles.add(stream);
    stream.once('close', () => this.#consoles.delete(stream)).on('error', () => stream.destroy());
    stream.on('end', () => stream.end());
    this.addWriter(stream);
    const recent = this.#recent.snapshot();
    if (recent.length > 0) stream.write(recent);
    this.addReader(stream);
  }

  /** What who attaches now would see, and how much there has been in all. */
  recentOutput(): RecentBytes {
    return { bytes: this.#recent.snapshot(), end: this.#recent.total };
  }

  /** Output of the guest on another host. Who reads now does not get it: it is none of this one's. */
  remember(bytes: Uint8Array): void {
    this.#recent.add(bytes);
  }

  /** Input that must not be held back (keys typed at a terminal, among which the escape must stay readable). */
  type(bytes: Buffer): void {
    const port = this.#port;
    if (port !== undefined && port.writableLength + bytes.length <= INPUT_BACKLOG_BYTES) port.write(bytes);
  }

  /** Input such as a pipe on standard input: held back while the guest does not read, or is not there yet. */
  addWriter(writer: Readable): void {
    this.#writers.add(writer);
    writer.once('close', () => this.#writers.delete(writer));
    writer.on('data', (bytes: Buffer) => this.#inputFrom(writer, bytes));
  }

  close(): void {
    this.#closed = true;
    this.detach();
    this.#writers.clear();
    this.#readers.clear();
    for (const stream of this.#consoles) endSoon(stream);
    this.#consoles.clear();
  }

  #output(bytes: Buffer): void {
    this.#recent.add(bytes);
    for (const reader of this.#readers) {
      if (reader.writable && reader.writableLength + bytes.length <= READER_BACKLOG_BYTES) reader.write(bytes);
    }
  }

  #resumeWriters(): void {
    for (const writer of this.#writers) writer.resume();
  }

  #inputFrom(writer: Readable, bytes: Buffer): void {
    if (this.#port === undefined) {
      writer.pause();
      writer.unshift(bytes);
    } else if (!this.#port.write(bytes)) {
      writer.pause();
    }
  }

  #listen(port: Duplex, event: string, listener: (...values: never[]) => void): void {
    port.on(event, listener as (...values: unknown[]) => void);
    this.#detachPort.push(() => port.off(event, listener as (...values: unknown[]) => void));
  }
}

function endSoon(stream: Duplex): void {
  stream.end(() => stream.destroy());
  setTimeout(() => stream.destroy(), LAST_OUTPUT_MS).unref();
}
