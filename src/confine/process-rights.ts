/** What this process may still do, as the kernel has it of each of its threads: what was meant to be dropped proves nothing. */
import { readdirSync, readFileSync } from 'node:fs';
import { capabilitiesIn } from './capabilities.js';

export interface ProcessRights {
  /** On all threads: a program that it starts gains no rights, also not by a set-user-ID bit. */
  noNewPrivileges: boolean;
  /** On all threads: system calls go through a filter. */
  callFilter: boolean;
  /** In lower case, without CAP_: those that at least one thread has. Root has all that are not dropped. */
  capabilities: string[];
}

const THREADS = '/proc/self/task';
const SECCOMP_FILTER = 2n;
/** Bit of signal 33, the C library's own (native/confine/capabilities.cc). */
const UNBLOCKED_SIGNAL = 32n;

export function processRights(): ProcessRights {
  return rightsIn(readdirSync(THREADS).flatMap(statusOfThread));
}

/** `threads`: the text of /proc/PID/task/TID/status of each. */
export function rightsIn(threads: readonly string[]): ProcessRights {
  const statuses = threads.filter((text) => !isOfKernel(text));
  const all = (field: string, wanted: bigint): boolean => statuses.every((text) => fieldOf(text, field, '') === wanted);
  const permitted = statuses.reduce((mask, text) => mask | fieldOf(text, 'CapPrm', '0x'), 0n);
  return {
    noNewPrivileges: all('NoNewPrivs', 1n),
    callFilter: all('Seccomp', SECCOMP_FILTER),
    capabilities: capabilitiesIn(permitted),
  };
}

/** KVM has one in the process, which runs nothing of the process's. It blocks all signals, also one that no other thread can. */
function isOfKernel(status: string): boolean {
  return ((fieldOf(status, 'SigBlk', '0x') >> UNBLOCKED_SIGNAL) & 1n) === 1n;
}

/** None of a thread that has just ended. */
function statusOfThread(thread: string): string[] {
  try {
    return [readFileSync(`${THREADS}/${thread}/status`, 'latin1')];
  } catch {
    return [];
  }
}

/** 0 of what an old kernel does not tell. */
function fieldOf(text: string, field: string, prefix: '' | '0x'): bigint {
  const value = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(text)?.[1];
  return value === undefined ? 0n : BigInt(prefix + value);
}
