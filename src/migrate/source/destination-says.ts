/** What the destination of a migration says on its control channel, or by hanging up. */
import { within } from '../../basics/within.js';
import { PostcopyError } from '../../errors.js';
import type * as source from '../hand-over/source.js';
import type { Body, Message } from '../wire/message.js';
import type { Capture } from './capture.js';
import type { Control } from './reunion.js';

/** For a destination to let go of what it has made ready. */
const RELEASE_MS = 10_000;

/** The destination hangs up when it waits for a VM again. */
export async function released(control: Control): Promise<void> {
  if (!control.open) return;
  const hungUp = new Promise<void>((resolve) => control.on('broken', () => resolve()));
  await within(hungUp, RELEASE_MS, () => {});
}

/** What a message of the destination means to the hand-over; ACCEPT also has to be looked at. */
export function eventOf(message: Exclude<Message, { type: 'accept' }>): source.SourceEvent<Control, Capture> {
  switch (message.type) {
    case 'refuse':
    case 'loaded':
    case 'running':
    case 'complete':
      return message;
    case 'abort':
      return { type: 'abort', reason: new PostcopyError('MIGRATION_FAILED', gaveUp(message.body)) };
    case 'lost':
      return { type: 'lost', reason: new PostcopyError('LINK_LOST', gaveUp(message.body)) };
    default:
      return {
        type: 'failure',
        reason: new PostcopyError('BAD_PEER', `the destination sent ${message.type}, which is the source's to send`),
      };
  }
}

function gaveUp({ reason }: Body<'abort'>): string {
  return `the destination gave up: ${reason}`;
}
