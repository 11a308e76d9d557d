/** The host's end of a console: a non-blocking stream. Shaped like console/serial-line.ts, which explains what is dropped. */
export interface ConsoleLine {
  /** For poll(). */
  readonly fd: number;
  /** False for good once the other end is gone. */
  readonly open: boolean;
  /** Output waits for the other end: flush() when there is room. */
  readonly blocked: boolean;
  /** Sends or keeps a copy of the bytes; never waits. Output beyond a bound is dropped. */
  write(bytes: Uint8Array): void;
  flush(): void;
  /** What has come in, at most `most` bytes; undefined if nothing. */
  read(most: number): Uint8Array | undefined;
}
