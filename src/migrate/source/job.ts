import type { PrefetchName } from '../options.js';
import type { SourceMaps } from '../../memory/page-states.js';
import type { ChannelAddress } from '../link/open-channel.js';

/** What the source's page workers are given. All of it can cross threads. */
export interface SourceJob {
  /** The most urgent one first. */
  channels: SourceChannelJob[];
  /** They are tried once they are open (channel-trial.ts). */
  tries: boolean;
  /** The destination takes LOST. */
  tellsLost: boolean;
  memoryHandle: number;
  pages: number;
  /** SourcePages. */
  maps: SourceMaps;
  /** The plan of the push, by name (prefetch/choose.ts). */
  plan: PrefetchName;
  /** FaultTrail. */
  trail: SharedArrayBuffer;
  /** RecentPages. */
  recent: SharedArrayBuffer;
  /** RateLimit. */
  limit: SharedArrayBuffer;
  /** BlockRelease. */
  blocks: SharedArrayBuffer;
  /** Pages are copied before the hand-over. */
  copies: boolean;
  /** GoSignal and RoundSignal, and this worker's own descriptor, which is readable when one of them has changed. */
  signal: SharedArrayBuffer;
  rounds: SharedArrayBuffer;
  wakeFd: number;
}

export interface SourceChannelJob {
  address: ChannelAddress;
  /** Counters of this channel. */
  counters: SharedArrayBuffer;
}
