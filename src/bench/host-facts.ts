/** What the figures were measured on. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { VERSION } from '../version.js';

export interface HostFacts {
  kernel: string;
  cpu: string;
  cores: number;
  memoryBytes: number;
  /** Modules behind /dev/kvm, like kvm_intel. */
  kvmModules: string[];
  /** First line of `--version`; missing without QEMU. */
  qemu?: string;
  qemuCpuModel?: string;
  transparentHugePages: string;
  /** How memory was measured: cgroup version, or missing: not at all. */
  memoryCgroup?: 1 | 2;
  node: string;
  postcopy: string;
}

export function hostFacts(): HostFacts {
  return {
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    kvmModules: kvmModules(read('/proc/modules')),
    transparentHugePages: /\[(\w+)\]/.exec(read('/sys/kernel/mm/transparent_hugepage/enabled'))?.[1] ?? 'unknown',
    node: process.version,
    postcopy: VERSION,
  };
}

/** Empty where KVM is built in. */
export function kvmModules(procModules: string): string[] {
  return procModules
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => /^kvm/.test(name));
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
