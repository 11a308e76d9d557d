/** The systems that this host can run. */
import { tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineName } from '../configure/machine-setting.js';
import { qemuVersion } from './host-facts.js';
import { postcopySystem } from './postcopy-system.js';
import { findCpuModel } from './qemu/cpu-model.js';
import { qemuSystem } from './qemu/qemu-system.js';
import type { System, SystemName } from './system.js';

export interface WantedSystems {
  machine: MachineName;
  systems: SystemName[];
  /** The program. */
  qemu: string;
}

export interface PreparedSystems {
  systems: System[];
  qemu?: string;
  qemuCpuModel?: string;
}

export async function prepareSystems(
  { machine, systems, qemu: binary }: WantedSystems,
  say: (text: string) => void,
): Promise<PreparedSystems> {
  const postcopy = postcopySystem(machine);
  const alone = { systems: [postcopy] };
  if (!systems.some((name) => name !== 'postcopy')) return alone;
  const qemu = qemuVersion(binary);
  if (qemu === undefined) {
    say(`there is no ${binary} (Debian: apt-get install qemu-system-x86): postcopy runs alone`);
    return alone;
  }
  const qemuCpuModel = await probeCpuModel(binary);
  say(`${qemu}, -cpu ${qemuCpuModel}`);
  const known: System[] = [
    postcopy,
    qemuSystem(true, { binary, cpuModel: qemuCpuModel }),
    qemuSystem(false, { binary, cpuModel: qemuCpuModel }),
  ];
  return { systems: known.filter(({ name }) => systems.includes(name)), qemu, qemuCpuModel };
}

async function probeCpuModel(binary: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-bench-'));
  try {
    return await findCpuModel(binary, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
