import type { KvmProbe } from '../native.js';
import { fail, ok, warn, type Check } from './check.js';
import { parseCpuInfo } from './cpuinfo.js';
import type { Probes } from './probes.js';

const DEVICE = '/dev/kvm';
/** Documentation/virt/kvm/api.rst, 4.1: "refuse to run if it returns a value other than 12". */
const API_VERSION = 12;

/** Without these a VM cannot be built here, or its state cannot be taken or given. Names as in KvmProbe. */
const NEEDED = [
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
];

/** What is lost without these. */
const WANTED: Record<string, string> = {
  tscControl: 'no TSC scaling: a guest can come only from hosts with the same TSC frequency',
  getTscKhz: 'the TSC frequency is not known: it cannot be compared with that of other hosts',
  kvmclockCtrl: 'guests are not told that they were stopped: their watchdogs may complain',
  asyncPageFault: 'no asynchronous page faults: a guest CPU that waits for a page does nothing else',
};

export function checkKvm(probes: Probes): Check[] {
  let kvm: KvmProbe;
  try {
    kvm = probes.kvm();
  } catch (error) {
    return [deviceProblem(probes, error)];
  }
  if (kvm.apiVersion !== API_VERSION) {
    return [
      fail(
        'kvm',
        `${DEVICE} has API version ${kvm.apiVersion}, ${API_VERSION} is needed`,
        'use a current Linux kernel',
      ),
    ];
  }
  return [ok('kvm', `${DEVICE}, API version ${kvm.apiVersion}`), neededCapabilities(kvm), ...wantedCapabilities(kvm)];
}

function neededCapabilities({ capabilities }: KvmProbe): Check {
  const missing = NEEDED.filter((name) => !has(capabilities, name));
  if (missing.length === 0) return ok('kvm capabilities', `all ${NEEDED.length} that are needed`);
  return fail('kvm capabilities', `missing: ${missing.join(', ')}`, 'use a current Linux kernel (5.15 or later)');
}

function wantedCapabilities({ capabilities }: KvmProbe): Check[] {
  return Object.entries(WANTED)
    .filter(([name]) => !has(capabilities, name))
    .map(([name, loss]) => warn(`kvm ${name}`, loss, 'depends on CPU and kernel; VMs run without it'));
}

function has(capabilities: Record<string, number>, name: string): boolean {
  return (capabilities[name] ?? 0) > 0;
}

function deviceProblem(probes: Probes, error: unknown): Check {
  const code = String((error as NodeJS.ErrnoException | null)?.code);
  if (code === 'EACCES' || code === 'EPERM') {
    return fail(
      'kvm',
      `${DEVICE} is there but not permitted (${code})`,
      'run as root, or as a member of the group kvm',
    );
  }
  if (probes.exists(DEVICE)) {
    return fail('kvm', `${DEVICE} is there but cannot be used (${code})`, moduleAdvice(probes));
  }
  if (/\bkvm$/m.test(probes.read('/proc/misc') ?? '')) {
    return fail(
      'kvm',
      `the module is loaded but ${DEVICE} is missing`,
      `mknod ${DEVICE} c 10 232 (in a container: --device ${DEVICE})`,
    );
  }
  return fail('kvm', `there is no ${DEVICE}`, moduleAdvice(probes));
}

function moduleAdvice(probes: Probes): string {
  const { flags } = parseCpuInfo(probes.read('/proc/cpuinfo') ?? '');
  if (flags.has('vmx')) return 'modprobe kvm_intel';
  if (flags.has('svm')) return 'modprobe kvm_amd';
  return (
    'the CPU shows neither VMX nor SVM: enable virtualization in the firmware, or nested virtualization in the ' +
    'hypervisor that this host runs on'
  );
}
