import type { PollSet } from '../../../threads/poll-set.js';

/**
 * Where the pages come from that somebody waits for. The fault handler knows nothing else of it; the urgent channel is one
 * (urgent-supply.ts). It lives on the fault handler's thread, and none of its calls waits.
 */
export interface PageSupply {
  /** Asks for the first `count` of these pages. They are missing, and nobody has asked for them. */
  ask(pages: Uint32Array, count: number): void;
  /** Installs what has come; false if nothing has. */
  receive(): boolean;
  /** Adds what more will come by. */
  sources(set: PollSet): void;
  /** As of a ChannelTask. */
  readonly triesAgain: boolean;
  /** Nothing has come for a while. */
  idle(): void;
}
