import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { runtimeDirectory } from '../host/runtime-directory.js';
import type { KvmProbe, Native } from '../native.js';

/** Everything the checks look at; tests give their own. */
export interface Probes {
  /** Throws what the system call said, with `code`. */
  kvm(): KvmProbe;
  /** Packed struct kvm_cpuid_entry2; throws likewise. */
  supportedCpuid(): Uint8Array;
  userfaultfd(): { path: 'device' | 'syscall'; features: number };
  /** Whether the kernel can encrypt TCP connections itself. */
  kernelTls(): boolean;
  /** The file's text; undefined if it cannot be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** This process may create files in the directory, or create the directory. */
  canWrite(directory: string): boolean;
  runtimeDirectory: string;
  /** As `uname -r`. */
  kernelRelease: string;
  uid: number;
}

export function hostProbes(native: Native): Probes {
  return {
    kvm: () => native.kvmProbe(),
    supportedCpuid: () => native.kvmSupportedCpuid(),
    userfaultfd: () => native.userfaultfdProbe(),
    kernelTls: () => native.tryKernelTls(),
    read,
    exists: existsSync,
    canWrite,
    runtimeDirectory: runtimeDirectory(),
    kernelRelease: release(),
    uid: process.getuid!(),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function canWrite(directory: string): boolean {
  const there = existsSync(directory) ? directory : dirname(directory);
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
