/** Builds a machine and loads a guest into it, step by step. */
import { writeAcpiTables } from '../acpi/write-tables.js';
import type { CpuName } from '../configure/cpu-setting.js';
import type { MachineName } from '../configure/machine-setting.js';
import { GuestMemory } from '../memory/guest-memory.js';
import type { HostDevices } from '../host/host-devices.js';
import { readBootFile, type BootFile } from './boot-file.js';
import { Machine, MACHINE_KINDS, type MachineLines } from './machine.js';

/** What it takes to boot a guest, and to boot it again after a reset, here or on the host it has moved to. */
export interface BootPlan {
  machine: MachineName;
  kernel: string;
  initrd?: string | undefined;
  cmdline: string;
  memoryBytes: number;
  cpu: CpuName;
  cpus: number;
}

export interface Booted {
  machine: Machine;
  cpuid: Uint8Array[];
  files: BootFile[];
}

/** A machine ready to run. `openLines` gives the guest's ends of its lines. Throws with nothing left behind. */
export async function bootMachine(
  plan: BootPlan,
  openLines: () => MachineLines,
  hostDevices: HostDevices,
): Promise<Booted> {
  const kernel = await readBootFile('kernel', plan.kernel);
  const initrd = plan.initrd === undefined ? undefined : await readBootFile('initrd', plan.initrd);
  const kind = MACHINE_KINDS[plan.machine];
  const cpuid = kind.cpuid(plan);
  const machine = await Machine.create(kind, { memoryBytes: plan.memoryBytes, cpuid }, openLines(), hostDevices);
  try {
    const memory = new GuestMemory(machine.memory);
    const rsdpAddress = writeAcpiTables(memory, {
      cpus: plan.cpus,
      virtioDevices: hostDevices.descriptions().length,
    });
    const files = {
      kernel: kernel.content,
      kernelPath: plan.kernel,
      cmdline: plan.cmdline,
      ...(initrd === undefined ? {} : { initrd: initrd.content, initrdPath: plan.initrd }),
    };
    machine.load(memory, files, rsdpAddress);
    return {
      machine,
      cpuid,
      files: [kernel, ...(initrd === undefined ? [] : [initrd])].map((file) => file.description),
    };
  } catch (error) {
    await machine.close();
    throw error;
  }
}
