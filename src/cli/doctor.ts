import { canRunVms, runChecks, type TryGuest } from '../doctor/run-checks.js';
import { fail, type Check } from '../doctor/check.js';
import { hostProbes } from '../doctor/probes.js';
import { describeError } from '../errors.js';
import type { Native } from '../native.js';
import { EXIT_OK, exitCodeOf } from './exit-codes.js';
import { loadNative } from './load-native.js';
import { printJson, type Output } from './output.js';
import { formatTable } from '../basics/table.js';

export interface DoctorOptions {
  json?: boolean;
}

/** `postcopy doctor`: what this host has and lacks, and how to get it. */
export async function doctorCommand(options: DoctorOptions, output: Output): Promise<number> {
  const checks = await examine();
  const usable = canRunVms(checks);
  if (options.json === true) printJson(output, { usable, checks });
  else output.out(doctorText(checks));
  return usable ? EXIT_OK : exitCodeOf('HOST_LACKS');
}

async function examine(): Promise<Check[]> {
  let native: Native;
  try {
    native = await loadNative();
  } catch (error) {
    return [fail('addon', describeError(error), 'npm rebuild postcopy')];
  }
  return runChecks(hostProbes(native), tryGuestLater);
}

const tryGuestLater: TryGuest = async () => (await import('../doctor/try-guest.js')).tryGuest();

export function doctorText(checks: Check[]): string {
  const lines = formatTable(checks.map(({ level, name, found }) => [level, name, found]))
    .trimEnd()
    .split('\n');
  const withFixes = checks.flatMap(({ fix }, index) =>
    fix === undefined ? [lines[index]!] : [lines[index]!, `      -> ${fix}`],
  );
  const verdict = canRunVms(checks)
    ? 'postcopy can run VMs here'
    : 'postcopy cannot run VMs here: see the lines marked fail';
  return `${withFixes.join('\n')}\n${verdict}\n`;
}
