import type { ChannelAddress } from './open-channel.js';

/** What the source's page workers are given. All of it can cross threads. */
export interface SourceJob {
  address: ChannelAddress;
  memoryHandle: number;
  /** PageBitmap of pages that are left to send: the only authority on what was sent. */
  unsent: SharedArrayBuffer;
  pages: number;
  /** LinkSwitch. */
  link: SharedArrayBuffer;
  /** Counters, this worker's own. */
  counters: SharedArrayBuffer;
}

/** A page worker's channel is connected; its value is the socket's handle. */
export const CHANNEL_OPEN = 'channel-open';
