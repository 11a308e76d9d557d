import type { BootFile } from '../machine/boot-file.js';
import type { Booted, BootPlan } from '../machine/boot-machine.js';
import type { MigrateOptions } from '../migrate/options.js';
import type { Hello } from '../migrate/wire/message.js';
import { FEATURES } from '../migrate/wire/protocol.js';
import type { DeviceDescription } from '../host/device-description.js';
import { VERSION } from '../version.js';
import { bootId } from '../host/boot-id.js';
import type { Machine } from '../machine/machine.js';

/** What a VM is, apart from its machine: enough to boot it again, and to tell another host of it. */
export interface VmRecord {
  plan: BootPlan;
  /** A reset of the guest restarts it. */
  reboot: boolean;
  files: BootFile[];
  cpuid: Uint8Array[];
  /** Hand-overs of this VM so far, on all hosts. */
  epoch: number;
}

export function recordOfBoot(plan: BootPlan, reboot: boolean, { files, cpuid }: Booted, epoch: number): VmRecord {
  return { plan: { ...plan }, reboot, files, cpuid, epoch };
}

export function recordOfHello(hello: Hello): VmRecord {
  const kernel = hello.files.find((file) => file.role === 'kernel');
  const initrd = hello.files.find((file) => file.role === 'initrd');
  return {
    plan: {
      machine: hello.machine,
      kernel: kernel?.path ?? '',
      ...(initrd === undefined ? {} : { initrd: initrd.path }),
      cmdline: hello.cmdline,
      memoryBytes: hello.memoryBytes,
      cpu: hello.cpu,
      cpus: hello.cpuid.length,
    },
    reboot: hello.reboot,
    files: hello.files,
    cpuid: hello.cpuid,
    epoch: hello.epoch,
  };
}

export function helloOf(
  name: string,
  record: VmRecord,
  machine: Machine,
  devices: DeviceDescription[],
  options: MigrateOptions,
  paused: boolean,
): Hello {
  return {
    release: VERSION,
    name,
    epoch: record.epoch + 1,
    machine: record.plan.machine,
    bootId: bootId(),
    memoryBytes: record.plan.memoryBytes,
    cpu: record.plan.cpu,
    cpuid: record.cpuid,
    constantMsrs: machine.constantMsrs,
    tscKhz: machine.tscKhz,
    xsaveBytes: machine.xsaveBytes,
    files: record.files,
    cmdline: record.plan.cmdline,
    reboot: record.reboot,
    devices,
    bulkChannels: options.channels,
    prefetch: options.prefetch,
    features: [...FEATURES],
    paused,
    mode: options.mode,
  };
}
