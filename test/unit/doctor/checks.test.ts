import { describe, expect, it, vi } from 'vitest';
import { doctorText } from '../../../src/cli/doctor.js';
import type { Check, Level } from '../../../src/doctor/check.js';
import { parseCpuInfo } from '../../../src/doctor/cpuinfo.js';
import type { Probes } from '../../../src/doctor/probes.js';
import { INTEL, pack, V1_LEAF_80000001, V2_LEAF_1, type Row } from '../boot/cpuid-tables.js';
import { canRunVms, runChecks } from '../../../src/doctor/run-checks.js';

const CPUINFO = [0, 1]
  .map(
    (cpu) =>
      `processor\t: ${cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: Fast CPU\nflags\t\t: fpu vmx constant_tsc nonstop_tsc\n`,
  )
  .join('\n');
const LIMITS =
  'Max open files            1048576              1048576              files\nMax locked memory         unlimited            unlimited            bytes\n';

const FILES: Record<string, string> = {
  '/proc/cpuinfo': CPUINFO,
  '/proc/meminfo':
    'MemAvailable:    8388608 kB\nHugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n',
  '/proc/self/limits': LIMITS,
  '/proc/sys/kernel/seccomp/actions_avail': 'kill_process kill_thread trap errno user_notif trace log allow\n',
  '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
  '/sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never\n',
  '/sys/kernel/mm/transparent_hugepage/shmem_enabled': 'always within_size advise [never] deny force\n',
};

const CAPABILITIES = Object.fromEntries(
  [
    'irqchip',
    'userMemory',
    'setTssAddress',
    'extCpuid',
    'pit2',
    'pitState2',
    'vcpuEvents',
    'debugregs',
    'xcrs',
    'xsave',
    'mpState',
    'adjustClock',
    'immediateExit',
    'tscControl',
    'getTscKhz',
    'kvmclockCtrl',
    'asyncPageFault',
  ].map((name) => [name, 1]),
);

const HOST_CPUID = pack([
  INTEL,
  V2_LEAF_1.with(4, V2_LEAF_1[4]! | 0x20) as Row,
  [7, 0, 0, 0, 0x80, 0],
  [0xa, 0, 0x07300402, 0, 0, 0],
  V1_LEAF_80000001.with(4, 1) as Row,
]);

interface Host extends Omit<Partial<Probes>, 'read'> {
  files?: Record<string, string | undefined>;
}

function probes({ files = {}, ...change }: Host = {}): Probes {
  const all: Record<string, string | undefined> = { ...FILES, ...files };
  return {
    kvm: () => ({ apiVersion: 12, capabilities: CAPABILITIES }),
    supportedCpuid: () => HOST_CPUID,
    userfaultfd: () => ({ path: 'device', features: 0x1ffff }),
    kernelTls: () => true,
    read: (path) => all[path],
    exists: () => false,
    canWrite: () => true,
    runtimeDirectory: '/run/postcopy',
    kernelRelease: '6.18.0-amd64',
    uid: 0,
    ...change,
  };
}

const runs = async () => ({ ok: true, detail: 'it answered' });

async function check(name: string, host: Host): Promise<Check> {
  const found = (await runChecks(probes(host), runs)).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no check ${name}`);
  return found;
}

function fails(code: string): () => never {
  return () => {
    throw Object.assign(new Error(code), { code });
  };
}

it('a good host is all ok', async () => {
  const checks = await runChecks(probes(), runs);
  expect(checks.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(checks.map(({ name, found }) => [name, found])).toEqual([
    ['kernel', '6.18.0-amd64'],
    ['pagemap scan', 'available'],
    ['cpu', 'Fast CPU (GenuineIntel), 2 CPUs'],
    ['tsc', 'constant, nonstop; clock source tsc'],
    ['kvm', '/dev/kvm, API version 12'],
    ['kvm capabilities', 'all 13 that are needed'],
    ['guest cpu', 'x86-64-v2; guests do not get 0x1.ecx.5 (vmx), 0x7.ecx.7 (shstk), leaf 0xa'],
    [
      'userfaultfd',
      '/dev/userfaultfd; features 0x1ffff: missing, write-protect, missing on shmem, thread id, minor on shmem, exact address, move',
    ],
    ['memory', '8 GiB available'],
    ['reserved huge pages', 'none (none are needed)'],
    ['transparent huge pages', 'anonymous madvise, shmem never'],
    ['page channels', "TLS by the kernel, straight from and into the guest's memory"],
    ['user', 'root'],
    ['runtime directory', '/run/postcopy'],
    ['confinement', 'system calls can be filtered'],
    ['open files', '1048576'],
    ['locked memory', 'unlimited'],
    ['guest runs', 'it answered'],
  ]);
});

it('who encrypts is told, whether or not the kernel could', async () => {
  const found = 'TLS by threads that relay (the kernel has no TLS of its own)';
  expect(await check('page channels', { kernelTls: () => false })).toMatchObject({ level: 'ok', found });
});

const ordinaryCpu = CPUINFO.replaceAll(' vmx', '');
it.each<[string, Host, Level, string, string]>([
  ['kvm', { kvm: fails('ENOENT') }, 'fail', 'there is no /dev/kvm', 'modprobe kvm_intel'],
  [
    'kvm',
    { kvm: fails('ENOENT'), files: { '/proc/cpuinfo': CPUINFO.replaceAll('vmx', 'svm') } },
    'fail',
    'there is no',
    'modprobe kvm_amd',
  ],
  [
    'kvm',
    { kvm: fails('ENOENT'), files: { '/proc/cpuinfo': ordinaryCpu } },
    'fail',
    'there is no',
    'enable virtualization in the firmware',
  ],
  [
    'kvm',
    { kvm: fails('ENOENT'), files: { '/proc/misc': '232 kvm\n' } },
    'fail',
    'is missing',
    'mknod /dev/kvm c 10 232',
  ],
  ['kvm', { kvm: fails('EACCES') }, 'fail', 'not permitted (EACCES)', 'run as root, or as a member of the group kvm'],
  ['kvm', { kvm: fails('ENODEV'), exists: () => true }, 'fail', 'cannot be used (ENODEV)', 'modprobe kvm_intel'],
  [
    'kvm',
    { kvm: () => ({ apiVersion: 11, capabilities: {} }) },
    'fail',
    'API version 11, 12 is needed',
    'current Linux kernel',
  ],
  [
    'kvm capabilities',
    { kvm: () => ({ apiVersion: 12, capabilities: { ...CAPABILITIES, pit2: 0, xsave: 0 } }) },
    'fail',
    'missing: pit2, xsave',
    'current Linux kernel',
  ],
  [
    'kvm tscControl',
    { kvm: () => ({ apiVersion: 12, capabilities: { ...CAPABILITIES, tscControl: 0 } }) },
    'warn',
    'no TSC scaling',
    'VMs run without it',
  ],
  [
    'userfaultfd',
    { userfaultfd: fails('EPERM') },
    'fail',
    'not permitted (EPERM)',
    'sysctl vm.unprivileged_userfaultfd=1',
  ],
  ['userfaultfd', { userfaultfd: fails('ENOSYS') }, 'fail', 'this kernel has none', 'CONFIG_USERFAULTFD=y'],
  ['userfaultfd', { userfaultfd: fails('EINVAL') }, 'fail', 'cannot be used (EINVAL)', 'run as root'],
  [
    'userfaultfd sysctl',
    {
      uid: 1000,
      userfaultfd: () => ({ path: 'syscall', features: 0 }),
      files: { '/proc/sys/vm/unprivileged_userfaultfd': '0\n' },
    },
    'warn',
    'is 0 and this is not root',
    'sysctl vm.unprivileged_userfaultfd=1',
  ],
  [
    'memory',
    { files: { '/proc/meminfo': 'MemAvailable:   65535 kB\n' } },
    'fail',
    '64.0 MiB available',
    'smallest guest has 64 MiB',
  ],
  ['memory', { files: { '/proc/meminfo': 'MemAvailable:   65536 kB\n' } }, 'warn', '64 MiB available', '--memory'],
  ['memory', { files: { '/proc/meminfo': undefined } }, 'warn', 'does not tell', 'mount /proc'],
  [
    'transparent huge pages',
    { files: { '/sys/kernel/mm/transparent_hugepage/enabled': 'always madvise [never]\n' } },
    'warn',
    'anonymous never',
    'echo madvise >',
  ],
  [
    'transparent huge pages',
    { files: { '/sys/kernel/mm/transparent_hugepage/enabled': undefined } },
    'warn',
    'has none',
    'slower',
  ],
  ['cpu', { files: { '/proc/cpuinfo': CPUINFO.split('\n\n')[0] } }, 'warn', '1 CPU', '2 or more'],
  ['cpu', { files: { '/proc/cpuinfo': undefined } }, 'fail', 'cannot be read', 'mount /proc'],
  [
    'tsc',
    { files: { '/proc/cpuinfo': CPUINFO.replaceAll(' nonstop_tsc', '') } },
    'warn',
    'not nonstop_tsc; clock source tsc',
    'invtsc',
  ],
  ['kernel', { kernelRelease: '5.14.21' }, 'warn', '5.14.21', 'before 5.15'],
  ['kernel', { kernelRelease: 'unknown' }, 'warn', 'unknown', '5.15 or later'],
  ['pagemap scan', { kernelRelease: '6.6.99' }, 'warn', 'not in this kernel', 'Linux 6.7 has it'],
  ['user', { uid: 1000 }, 'warn', 'uid 1000, not root', 'run as root'],
  ['runtime directory', { canWrite: () => false }, 'fail', '/run/postcopy cannot be written', 'POSTCOPY_RUNTIME_DIR'],
  [
    'confinement',
    { files: { '/proc/sys/kernel/seccomp/actions_avail': undefined } },
    'warn',
    'cannot be filtered',
    'CONFIG_SECCOMP_FILTER',
  ],
  [
    'open files',
    { files: { '/proc/self/limits': LIMITS.replaceAll('1048576', '256') } },
    'warn',
    '256',
    'ulimit -n 1024',
  ],
  [
    'locked memory',
    { uid: 1000, files: { '/proc/self/limits': LIMITS.replace('unlimited', '8388608') } },
    'warn',
    '8 MiB',
    'ulimit -l unlimited',
  ],
])('%s: case %#', async (name, host, level, found, fix) => {
  expect(await check(name, host)).toEqual({
    name,
    level,
    found: expect.stringContaining(found),
    fix: expect.stringContaining(fix),
  });
});

it.each([
  ['5.15.0', 'ok', 'warn'],
  ['6.7', 'ok', 'ok'],
  ['10.0', 'ok', 'ok'],
])('kernel %s', async (kernelRelease, kernel, scan) => {
  expect((await check('kernel', { kernelRelease })).level).toBe(kernel);
  expect((await check('pagemap scan', { kernelRelease })).level).toBe(scan);
});

it('tells how many huge pages are reserved', async () => {
  const meminfo =
    'MemAvailable: 8388608 kB\nHugePages_Total:     512\nHugePages_Free:      500\nHugepagesize:       2048 kB\n';
  expect(await check('reserved huge pages', { files: { '/proc/meminfo': meminfo } })).toMatchObject({
    level: 'ok',
    found: '512 of 2 MiB, 500 free',
  });
});

it('reads /proc/cpuinfo that says little', () => {
  expect(parseCpuInfo('')).toEqual({
    vendor: 'unknown vendor',
    model: 'unknown model',
    count: 0,
    flags: new Set(['']),
  });
});

describe('the guest', () => {
  it('is not tried where something stands against it', async () => {
    const tried = vi.fn(runs);
    const checks = await runChecks(probes({ kvm: fails('ENOENT') }), tried);
    expect(tried).not.toHaveBeenCalled();
    expect(canRunVms(checks)).toBe(false);
  });

  it.each([
    ['does not run', async () => ({ ok: false, detail: 'triple fault' }), 'triple fault'],
    ['cannot be tried', async () => Promise.reject(new Error('no file')), 'no file'],
  ])('%s', async (_what, tryGuest, found) => {
    const checks = await runChecks(probes(), tryGuest);
    expect(checks.at(-1)).toMatchObject({ name: 'guest runs', level: 'fail', found });
    expect(canRunVms(checks)).toBe(false);
  });
});

it('warnings do not stand against VMs', () => {
  expect(canRunVms([{ name: 'a', level: 'warn', found: '' }])).toBe(true);
});

it('is shown with what to do', () => {
  expect(
    doctorText([
      { name: 'kvm', level: 'fail', found: 'there is no /dev/kvm', fix: 'modprobe kvm_intel' },
      { name: 'kernel', level: 'ok', found: '6.1' },
    ]),
  ).toBe(
    'fail  kvm     there is no /dev/kvm\n      -> modprobe kvm_intel\nok    kernel  6.1\n' +
      'postcopy cannot run VMs here: see the lines marked fail\n',
  );
});
