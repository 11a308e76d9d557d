import { ok, type Check } from './check.js';
import type { Probes } from './probes.js';

/** Who encrypts the page channels of a migration (migrate/link/relay.ts): always the same, whatever the kernel could do. */
export function checkLinks({ kernelTls }: Probes): Check[] {
  const kernel = kernelTls() ? 'the kernel has TLS of its own, which is not used' : 'the kernel has no TLS of its own';
  return [ok('page channels', `TLS by threads that relay (${kernel})`)];
}
