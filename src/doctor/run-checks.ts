import { describeError } from '../errors.js';
import { fail, ok, type Check } from './check.js';
import { checkCpu } from './check-cpu.js';
import { checkGuestCpu } from './check-guest-cpu.js';
import { checkKernel } from './check-kernel.js';
import { checkKvm } from './check-kvm.js';
import { checkLinks } from './check-links.js';
import { checkMemory } from './check-memory.js';
import { checkProcess } from './check-process.js';
import { checkUserfaultfd } from './check-userfaultfd.js';
import type { Probes } from './probes.js';

/** Runs a small guest for a moment. */
export type TryGuest = () => Promise<{ ok: boolean; detail: string }>;

/** Everything this host has and lacks. A guest is tried only where nothing stands against it. */
export async function runChecks(probes: Probes, tryGuest: TryGuest): Promise<Check[]> {
  const checks = [
    ...[checkKernel, checkCpu, checkKvm, checkGuestCpu, checkUserfaultfd],
    ...[checkMemory, checkLinks, checkProcess],
  ].flatMap((check) => check(probes));
  return canRunVms(checks) ? [...checks, await checkGuest(tryGuest)] : checks;
}

export function canRunVms(checks: Check[]): boolean {
  return checks.every(({ level }) => level !== 'fail');
}

async function checkGuest(tryGuest: TryGuest): Promise<Check> {
  const name = 'guest runs';
  try {
    const { ok: runs, detail } = await tryGuest();
    return runs ? ok(name, detail) : fail(name, detail, 'see the kernel log (dmesg); --log-level debug tells more');
  } catch (error) {
    return fail(name, describeError(error), 'see the kernel log (dmesg)');
  }
}
