/** Pages of a channel on which rounds come first: frame by frame, what comes before STATE is written, the rest installed. */
import type { PageInstaller } from './page-installer.js';
import type { PageSink } from './page-sink.js';
import type { RoundWriter } from './round-writer.js';

export class SwitchingSink implements PageSink {
  /** Of the frame under way. */
  #now: PageSink;

  constructor(
    readonly writer: RoundWriter,
    readonly installer: Pick<PageInstaller, keyof PageSink>,
  ) {
    this.#now = writer;
  }

  get installed(): number {
    return this.writer.installed + this.installer.installed;
  }

  expect(first: number, count: number): void {
    this.#now = this.writer.rounds.gate.isClosed ? this.installer : this.writer;
    this.#now.expect(first, count);
  }

  install(first: number, count: number, from: Uint8Array, offset: number): number {
    return this.#now.install(first, count, from, offset);
  }

  zero(first: number, count: number): void {
    this.#now.zero(first, count);
  }

  lost(first: number, count: number): void {
    this.#now.lost(first, count);
  }
}
