import { ok, type Check } from './check.js';
import type { Probes } from './probes.js';

/** Who encrypts the page channels of a migration (migrate/link/kernel-tls.ts). */
export function checkLinks({ kernelTls }: Probes): Check[] {
  const relayed = 'TLS by threads that relay (the kernel has no TLS of its own)';
  return [ok('page channels', kernelTls() ? "TLS by the kernel, straight from and into the guest's memory" : relayed)];
}
