import { formatSize } from '../basics/size.js';
import { fail, ok, warn, type Check } from './check.js';
import type { Probes } from './probes.js';

/** A VM with 16 vCPUs, its workers, channels and consoles stays well below this. */
const OPEN_FILES_ENOUGH = 1024;

export function checkProcess(probes: Probes): Check[] {
  return [checkUser(probes), checkRuntimeDirectory(probes), checkConfinement(probes), ...checkLimits(probes)];
}

function checkUser({ uid }: Probes): Check {
  if (uid === 0) return ok('user', 'root');
  return warn('user', `uid ${uid}, not root`, 'run as root, or see to the access to /dev/kvm and userfaultfd');
}

function checkRuntimeDirectory({ runtimeDirectory: directory, canWrite }: Probes): Check {
  if (canWrite(directory)) return ok('runtime directory', directory);
  return fail(
    'runtime directory',
    `${directory} cannot be written`,
    'run as root, or set POSTCOPY_RUNTIME_DIR to a directory of your own',
  );
}

/** What seccomp filters can answer here, as seccomp(2) has it. */
function checkConfinement({ read }: Probes): Check {
  const answers = read('/proc/sys/kernel/seccomp/actions_avail') ?? '';
  if (/\berrno\b/.test(answers)) return ok('confinement', 'system calls can be filtered');
  return warn(
    'confinement',
    'system calls cannot be filtered: VMs run with all of them',
    'use a kernel with CONFIG_SECCOMP_FILTER (Linux 4.14 or later)',
  );
}

/** Soft limits as in /proc/self/limits, proc(5). */
function checkLimits({ read, uid }: Probes): Check[] {
  const limits = read('/proc/self/limits') ?? '';
  const files = softLimit(limits, 'Max open files');
  const locked = softLimit(limits, 'Max locked memory');
  return [
    files >= OPEN_FILES_ENOUGH
      ? ok('open files', limitText(files, String))
      : warn('open files', limitText(files, String), `ulimit -n ${OPEN_FILES_ENOUGH}`),
    // Root is not held to it (CAP_IPC_LOCK).
    locked === Infinity || uid === 0
      ? ok('locked memory', limitText(locked, formatSize))
      : warn('locked memory', limitText(locked, formatSize), 'huge or locked guest memory needs ulimit -l unlimited'),
  ];
}

/** Infinity for unlimited; 0 when it is not told. */
function softLimit(limits: string, name: string): number {
  const value = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(limits)?.[1];
  return value === 'unlimited' ? Infinity : Number(value ?? 0);
}

function limitText(limit: number, format: (value: number) => string): string {
  return limit === Infinity ? 'unlimited' : format(limit);
}
