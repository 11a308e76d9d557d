/**
 * When the guest's clocks were read, by the clock of this host: its clocks go on from there. The source tells it in two
 * ways. COMMIT says how long ago that was, as far as its sender can know: what the message waited for on its way, behind
 * console output on a slow link or for a busy host, makes the guest's clocks late. And it says when that was by the
 * source's clock, which the pings before it relate to this host's; the least delay of many is close to that of a message
 * that nothing holds up. Both can only be too late, so the earlier one is right.
 */
import type { ClocksMoment } from '../../machine/machine-state.js';
import type { Body } from '../wire/message.js';

/** COMMIT is not held up for longer: pings that say so are of a clock that has stepped, or of a peer that plays tricks. */
const HELD_UP_MAX_MICROS = 60e6;

/** `at`: monotonicMicros() when COMMIT came. `peerOffsetMicros`: from the source's monotonicMicros() to this host's, from its pings; undefined without any. */
export function clocksMoment(
  { at, body }: { at: number; body: Body<'commit'> },
  peerOffsetMicros: number | undefined,
): ClocksMoment {
  const { sinceClockMicros, clocksAtMicros, wallClockMs } = body;
  const byCommit = at - sinceClockMicros;
  if (clocksAtMicros === undefined || peerOffsetMicros === undefined) return { atMicros: byCommit, wallClockMs };
  const byPings = clocksAtMicros + peerOffsetMicros;
  const isSane = byPings < byCommit && byPings > byCommit - HELD_UP_MAX_MICROS;
  return { atMicros: isSane ? byPings : byCommit, wallClockMs };
}
