/**
 * Whether the bridge that a TAP device is in passes its frames on. A bridge with a spanning tree (STP) listens and learns on a
 * new port first, for 30 s by default, and drops all that comes from it.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

const SYSFS = '/sys/class/net';
/** BR_STATE_LISTENING, LEARNING and BLOCKING of <linux/if_bridge.h>: what the spanning tree has not settled, or settled so. */
const NOT_FORWARDING = [1, 2, 4];

/** The bridge that does not pass on yet what this interface sends; undefined if it does, or is in none. Never throws. */
export function blockedBy(tap: string, sysfs = SYSFS): string | undefined {
  try {
    const state = Number(readFileSync(`${sysfs}/${tap}/brport/state`, 'utf8'));
    return !NOT_FORWARDING.includes(state) ? undefined : basename(readlinkSync(`${sysfs}/${tap}/brport/bridge`));
  } catch {
    return undefined; // in no bridge, or gone
  }
}
