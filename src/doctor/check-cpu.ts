import { fail, ok, warn, type Check } from './check.js';
import { parseCpuInfo } from './cpuinfo.js';
import type { Probes } from './probes.js';

const CLOCKSOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource';

export function checkCpu(probes: Probes): Check[] {
  const text = probes.read('/proc/cpuinfo');
  if (text === undefined) return [fail('cpu', '/proc/cpuinfo cannot be read', 'mount /proc')];
  const cpu = parseCpuInfo(text);
  const one = warn(
    'cpu',
    `${cpu.model} (${cpu.vendor}), 1 CPU`,
    'faults and guest share it: use a host with 2 or more',
  );
  const several = ok('cpu', `${cpu.model} (${cpu.vendor}), ${cpu.count} CPUs`);
  return [cpu.count > 1 ? several : one, checkTsc(cpu.flags, probes.read(CLOCKSOURCE)?.trim() ?? 'unknown')];
}

/** A guest's clock goes on evenly only where the host's TSC does. */
function checkTsc(flags: Set<string>, clocksource: string): Check {
  const missing = ['constant_tsc', 'nonstop_tsc'].filter((flag) => !flags.has(flag));
  const found = `${missing.length === 0 ? 'constant, nonstop' : `not ${missing.join(', not ')}`}; clock source ${clocksource}`;
  if (missing.length === 0) return ok('tsc', found);
  return warn('tsc', found, "guests' clocks may be less exact; on a virtual host, pass the CPU's invtsc through");
}
