import { fail, ok, warn, type Check } from './check.js';
import type { Probes } from './probes.js';

/** Bits of uffdio_api.features, ioctl_userfaultfd(2), that are worth naming. */
const FEATURES: [bit: number, name: string][] = [
  [0, 'write-protect'],
  [5, 'missing on shmem'],
  [8, 'thread id'],
  [10, 'minor on shmem'],
  [11, 'exact address'],
  [16, 'move'],
];

const SYSCTL = '/proc/sys/vm/unprivileged_userfaultfd';

export function checkUserfaultfd(probes: Probes): Check[] {
  try {
    const { path, features } = probes.userfaultfd();
    const how = path === 'device' ? '/dev/userfaultfd' : 'system call';
    return [ok('userfaultfd', `${how}; ${describeFeatures(features)}`), ...checkSysctl(probes, path)];
  } catch (error) {
    return [problem(probes, String((error as NodeJS.ErrnoException | null)?.code))];
  }
}

function describeFeatures(features: number): string {
  // Bits above 31 may come: no bitwise operators.
  const names = FEATURES.filter(([bit]) => Math.floor(features / 2 ** bit) % 2 === 1).map(([, name]) => name);
  return `features 0x${features.toString(16)}: missing, ${names.join(', ')}`.replace(/, $/, '');
}

/** By the system call, an ordinary user gets the faults that KVM takes in the kernel only where this is 1. */
function checkSysctl(probes: Probes, path: string): Check[] {
  if (path === 'device' || probes.uid === 0 || probes.read(SYSCTL)?.trim() !== '0') return [];
  return [warn('userfaultfd sysctl', 'vm.unprivileged_userfaultfd is 0 and this is not root', fixForUsers)];
}

const fixForUsers = 'run as root, or sysctl vm.unprivileged_userfaultfd=1, or give access to /dev/userfaultfd';

function problem(probes: Probes, code: string): Check {
  if (code === 'EPERM' || code === 'EACCES') return fail('userfaultfd', `not permitted (${code})`, fixForUsers);
  if (code === 'ENOSYS') {
    return fail('userfaultfd', 'this kernel has none', 'use a kernel with CONFIG_USERFAULTFD=y, as distributions have');
  }
  const where = probes.exists('/dev/userfaultfd')
    ? 'a seccomp filter or a container may forbid it'
    : 'is it a current kernel?';
  return fail('userfaultfd', `cannot be used (${code}): ${where}`, fixForUsers);
}
