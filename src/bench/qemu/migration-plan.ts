/**
 * How QEMU is told to migrate, so that it does what postcopy is asked for, and as fast as it goes: capabilities and
 * parameters, and what it is told later. Pure, so that it can be looked at without a QEMU.
 */
import { checkMigrateOptions, type GivenMigrateOptions } from '../../migrate/options.js';
import type { QemuName } from '../system.js';

/** Bytes a second; 0 is not "unlimited" for this one. */
const NO_LIMIT = 1024 ** 5;
/** As many as the machines that this is developed on have cores. */
const MULTIFD_CHANNELS = 2;
const MS_PER_SECOND = 1000;

export interface MigrationPlan {
  /** Of both ends. */
  capabilities: string[];
  parameters: Record<string, number>;
  /** When the guest goes on at the destination, before all of it is there: never, at once, or behind the first pass. */
  postcopy: 'never' | 'at once' | 'first pass';
  /** What it is told if it is not over by then. */
  late?: { afterMs: number; command: 'migrate-start-postcopy' | 'migrate_cancel' };
}

/** `given` as of postcopy; those that only postcopy has are left out. qemu-multifd must not be asked for post-copy. */
export function migrationPlan(system: QemuName, given: GivenMigrateOptions = {}): MigrationPlan {
  const { mode, downtime, timeout, onTimeout } = checkMigrateOptions(given);
  const multifd: Record<string, number> = system === 'qemu-multifd' ? { 'multifd-channels': MULTIFD_CHANNELS } : {};
  const parameters = { 'max-bandwidth': NO_LIMIT, 'downtime-limit': downtime, ...multifd };
  const more = system === 'qemu-multifd' ? ['multifd'] : [];
  const withPostcopy = ['postcopy-ram', ...(system === 'qemu-preempt' ? ['postcopy-preempt'] : [])];
  const unlimited = { ...parameters, 'max-postcopy-bandwidth': 0 };
  if (mode === 'post-copy') return { capabilities: withPostcopy, parameters: unlimited, postcopy: 'at once' };
  if (mode === 'hybrid') return { capabilities: withPostcopy, parameters: unlimited, postcopy: 'first pass' };
  const afterMs = timeout * MS_PER_SECOND;
  if (onTimeout === 'post-copy') {
    const late = { afterMs, command: 'migrate-start-postcopy' as const };
    return { capabilities: withPostcopy, parameters: unlimited, postcopy: 'never', late };
  }
  return { capabilities: more, parameters, postcopy: 'never', late: { afterMs, command: 'migrate_cancel' } };
}
