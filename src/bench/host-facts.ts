/** What the figures were measured on. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { MachineName } from '../configure/machine-setting.js';
import { memoryMeterKind } from './memory-meter.js';
import { VERSION } from '../version.js';

export interface HostFacts {
  /** Of postcopy's guests. */
  machine: MachineName;
  kernel: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  /** Modules behind /dev/kvm, like kvm_intel; empty if the kernel does not name them. */
  kvmModules: string[];
  /** First line of `--version`; missing without QEMU. */
  qemu?: string | undefined;
  qemuCpuModel?: string | undefined;
  transparentHugePages: string;
  /** How the peak of memory was measured. */
  memoryMeter: 'cgroup-v1' | 'cgroup-v2' | 'samples';
  node: string;
  postcopy: string;
}

export function hostFacts(): Omit<HostFacts, 'machine'> {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kvmModules: modules().filter((name) => /^kvm/.test(name)),
    transparentHugePages: /\[(\w+)\]/.exec(read('/sys/kernel/mm/transparent_hugepage/enabled'))?.[1] ?? 'unknown',
    memoryMeter: memoryMeterKind(),
    node: process.version,
    postcopy: VERSION,
  };
}

/** Loaded ones, and built-in ones that have parameters. */
function modules(): string[] {
  try {
    return readdirSync('/sys/module');
  } catch {
    return [];
  }
}

/** First line of `--version`; undefined if there is no such program. */
export function qemuVersion(binary: string): string | undefined {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
