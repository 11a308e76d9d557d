import { readFileSync } from 'node:fs';

/** One for each start of this host's kernel (random(4)). */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
