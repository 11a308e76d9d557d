/** What guests see of this host's CPU: the levels of it, and what is kept from them because it could not move. */
import { highestLevel } from '../boot/cpu-levels.js';
import { allowedCpuid } from '../boot/cpuid-allowed.js';
import { withheldFeatures } from '../boot/cpuid-compare.js';
import { decodeCpuid } from '../boot/cpuid-entries.js';
import { ok, type Check } from './check.js';
import type { Probes } from './probes.js';

/** Nothing where there is no KVM: the check of that says so. */
export function checkGuestCpu(probes: Probes): Check[] {
  let supported: Uint8Array;
  try {
    supported = probes.supportedCpuid();
  } catch {
    return [];
  }
  const level = highestLevel(allowedCpuid(decodeCpuid(supported))) ?? 'below x86-64-v2';
  const withheld = withheldFeatures(supported);
  const kept = withheld.length === 0 ? 'everything that KVM supports' : `guests do not get ${withheld.join(', ')}`;
  return [ok('guest cpu', `${level}; ${kept}`)];
}
