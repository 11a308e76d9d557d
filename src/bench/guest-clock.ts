/** Where the guest's clock stands against the host's. */
import { z } from 'zod';
import type { GuestConsole } from '../trial/guest-console.js';

const clockEvent = z.looseObject({ now_us: z.number() });
/** The guest looks at its console every 5 ms, and answers through a device: the quickest answer is the truest. */
const SAMPLES = 10;

/** Host (performance.now(), in microseconds) minus guest: too large by what the answer took, tens of microseconds. */
export async function clockOffsetUs(guest: GuestConsole): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < SAMPLES; i++) {
    const answer = clockEvent.parse(await guest.command('clock', 'clock'));
    least = Math.min(least, performance.now() * 1000 - answer.now_us);
  }
  return least;
}
