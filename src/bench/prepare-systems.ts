/** The systems that this host can run. */
import { tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineName } from '../configure/machine-setting.js';
import { qemuVersion } from './host-facts.js';
import { postcopySystem } from './postcopy-system.js';
import { findCpuModel } from './qemu/cpu-model.js';
import { qemuSystem } from './qemu/qemu-system.js';
import { OWN_SYSTEMS, QEMUS, type System, type SystemName } from './system.js';

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
  const chosen = (known: System[]) => known.filter(({ name }) => systems.includes(name));
  const own = [postcopySystem(machine, 'plain'), postcopySystem(machine, 'tls')];
  if (systems.every((name) => OWN_SYSTEMS.includes(name))) return { systems: chosen(own) };
  const qemu = qemuVersion(binary);
  if (qemu === undefined) {
    say(`there is no ${binary} (Debian: apt-get install qemu-system-x86): postcopy runs alone`);
    const left = chosen(own);
    return { systems: left.length > 0 ? left : own.slice(0, 1) };
  }
  const qemuCpuModel = await probeCpuModel(binary);
  say(`${qemu}, -cpu ${qemuCpuModel}`);
  const qemus = QEMUS.map((name) => qemuSystem(name, { binary, cpuModel: qemuCpuModel }));
  return { systems: chosen([...own, ...qemus]), qemu, qemuCpuModel };
}

async function probeCpuModel(binary: string): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'postcopy-bench-'));
  try {
    return await findCpuModel(binary, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
