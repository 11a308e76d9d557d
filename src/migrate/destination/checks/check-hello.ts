/** Everything that makes this host refuse a VM, all of it at once, before the guest is stopped at the source. */
import { cpuObjections } from '../../../boot/cpuid-compare.js';
import { CPUS_MAX, type MachineName } from '../../../configure/machine-setting.js';
import { MEMORY_BYTES_MIN } from '../../../memory/layout.js';
import { isPageAligned } from '../../../memory/page-size.js';
import { native } from '../../../native.js';
import { bootId } from '../../../host/boot-id.js';
import { MIGRATION_MODES } from '../../options.js';
import type { Hello } from '../../wire/message.js';
import { ROUNDS } from '../../wire/protocol.js';
import { comesInRounds } from '../rounds.js';
import { featureMsrObjections } from './feature-msrs.js';
import { bootFileObjections } from './check-boot-file.js';

/** KVM takes TSC frequencies this close for the same (tsc_tolerance_ppm of the kvm module). */
const TSC_TOLERANCE = 250e-6;

/** `machine`: what is waited for here. */
export async function objectionsTo(hello: Hello, machine: MachineName): Promise<string[]> {
  if (hello.machine !== machine) return [otherMachine(hello.machine, machine)];
  const objections = shapeObjections(hello);
  objections.push(...(machine === 'kvm' ? kvmObjections(hello) : threadObjections(hello)));
  for (const file of hello.files) objections.push(...(await bootFileObjections(file, hello.memoryBytes)));
  return objections;
}

/** Nothing else that could be said of it would help. */
function otherMachine(theirs: MachineName, ours: MachineName): string {
  return `it is a machine of ${theirs}, and one of ${ours} is waited for here: wait for one of ${theirs}`;
}

function shapeObjections(hello: Hello): string[] {
  const objections: string[] = [];
  if (hello.memoryBytes < MEMORY_BYTES_MIN || !isPageAligned(hello.memoryBytes)) {
    objections.push(`${hello.memoryBytes} bytes of RAM are no possible size`);
  }
  return [...objections, ...modeObjections(hello)];
}

function modeObjections({ mode, features }: Hello): string[] {
  if (!(MIGRATION_MODES as readonly string[]).includes(mode)) {
    return [`it is to move by ${mode}, which this release does not know: move it by post-copy, or upgrade this host`];
  }
  if (!comesInRounds({ mode }) || features.includes(ROUNDS)) return [];
  return [
    `it is to move by ${mode}, and its source does not offer to send pages in rounds: that is a fault of its source`,
  ];
}

function kvmObjections(hello: Hello): string[] {
  const objections = cpusObjections(hello, Math.min(CPUS_MAX.kvm, native.kvmProbe().capabilities['maxVcpus'] ?? 1));
  objections.push(...cpuObjections(hello.cpuid[0]!, native.kvmSupportedCpuid()));
  return [...objections, ...featureMsrObjections(hello.constantMsrs, native.kvmFeatureMsrs())];
}

/** Its guest has the host's own CPU and TSC. */
function threadObjections(hello: Hello): string[] {
  const objections = cpusObjections(hello, CPUS_MAX.threads);
  if (hello.bootId !== bootId()) objections.push('it is on another host: a machine of threads moves within one');
  return objections;
}

function cpusObjections({ cpuid }: Hello, most: number): string[] {
  return cpuid.length > most ? [`it has ${cpuid.length} vCPUs; this host can give ${most}`] : [];
}

/**
 * `hostKhz`: what vCPUs have here if nothing is asked for. 0 is unknown, of either. Without scaling KVM takes a higher
 * frequency all the same, and then moves the guest's TSC forward whenever it enters the guest: it stands for a while and
 * jumps, and is not the same on two vCPUs. So what KVM says to the frequency is no answer to whether it can be had.
 */
export function tscObjections(guestKhz: number, hostKhz: number, scales: boolean): string[] {
  if (scales || guestKhz === 0 || hostKhz === 0) return [];
  if (Math.abs(guestKhz - hostKhz) <= hostKhz * TSC_TOLERANCE) return [];
  return [`its TSC runs at ${guestKhz} kHz; this host's at ${hostKhz} kHz, and its CPU cannot scale it`];
}
