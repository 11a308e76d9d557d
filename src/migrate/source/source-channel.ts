import type { PageBitmap } from '../../memory/page-bitmap.js';
import type { NativeMemory, Socket } from '../../native.js';
import type { Counters } from '../report/counters.js';
import type { LinkSwitch } from '../../threads/link-switch.js';
import type { SentPages } from './sent-pages.js';

/** What one channel of the source works with, on its worker. */
export interface SourceChannel {
  memory: NativeMemory;
  socket: Socket;
  /** Of all channels: whoever clears a page's bit sends it. */
  unsent: PageBitmap;
  link: LinkSwitch;
  counters: Counters;
  sent: SentPages;
}

/** Gives acknowledged pages back; not before the hand-over, until which the guest may still go on here. */
export function releaseReceived({ link, sent, counters }: SourceChannel): void {
  if (!link.handedOver) return;
  sent.release();
  counters.set('released', sent.released);
}
