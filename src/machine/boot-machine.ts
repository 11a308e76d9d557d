/** Builds a machine and loads a guest into it, step by step. */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeAcpiTables } from '../acpi/write-tables.js';
import type { CpuName } from '../configure/cpu-setting.js';
import type { MachineName } from '../configure/machine-setting.js';
import { PostcopyError } from '../errors.js';
import { GuestMemory } from '../memory/guest-memory.js';
import type { HostDevices } from '../host/host-devices.js';
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

/** A boot file as the destination of a migration is told of it. */
export interface BootFile {
  role: 'kernel' | 'initrd';
  path: string;
  bytes: number;
  sha256: string;
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

async function readBootFile(role: BootFile['role'], path: string) {
  const content = await readRegularFile(role, path);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const description: BootFile = { role, path: resolve(path), bytes: content.length, sha256 };
  return { content, description };
}

/** A device may never end, and fill this host's memory; a FIFO would have nothing for the guest's next boot. */
async function readRegularFile(role: BootFile['role'], path: string): Promise<Uint8Array> {
  try {
    if ((await stat(path)).isFile()) return await readFile(path);
  } catch (error) {
    throw new PostcopyError('BAD_KERNEL', `cannot read ${role} ${path}`, error);
  }
  throw new PostcopyError('BAD_KERNEL', `${role} ${path} is no regular file: give one`);
}
