/**
 * Watches from outside that a guest does not run at both ends: the time that the threads of its vCPUs have spent in user mode,
 * as the kernel counts it, whatever the processes say of themselves.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { End } from '../support/relay.js';

const SAMPLE_MS = 50;
/** More than the thread of a vCPU needs to be made, loaded, saved and ended; a guest at work soon has more. */
const RAN_TICKS = 6;

interface Watched {
  pid: number;
  threads: string[];
  ticks: number;
}

export class VcpuWatch {
  readonly #ends: Record<End, Watched>;
  readonly #timer: NodeJS.Timeout;
  /** What the source's had by then. */
  #sinceDestinationRan: number | undefined;
  #double: string | undefined;

  constructor(pids: Record<End, number>) {
    const watched = (pid: number) => ({ pid, threads: [], ticks: 0 });
    this.#ends = { source: watched(pids.source), destination: watched(pids.destination) };
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** What it has seen that must not be. */
  get double(): string | undefined {
    return this.#double;
  }

  get destinationRan(): boolean {
    return this.#sinceDestinationRan !== undefined;
  }

  /** Of all vCPUs so far, in the kernel's ticks. */
  ticks(end: End): number {
    return ticksOf(this.#ends[end]);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const source = this.ticks('source');
    if (this.ticks('destination') > RAN_TICKS) this.#sinceDestinationRan ??= source;
    if (this.#sinceDestinationRan === undefined || source - this.#sinceDestinationRan <= RAN_TICKS) return;
    if (!isAlive(this.#ends.destination.pid)) return; // somebody has taken the guest back
    this.#double ??= `the source's vCPUs ran for ${source - this.#sinceDestinationRan} ticks when the destination's had run`;
  }
}

function ticksOf(watched: Watched): number {
  try {
    if (watched.threads.length === 0) watched.threads = vcpuThreads(watched.pid);
    watched.ticks = watched.threads.reduce((sum, path) => sum + userTicks(readFileSync(path, 'utf8')), 0);
  } catch {
    watched.threads = []; // the process has ended, or the thread
  }
  return watched.ticks;
}

function vcpuThreads(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => `/proc/${pid}/task/${thread}`)
    .filter((path) => readFileSync(`${path}/comm`, 'utf8').startsWith('vcpu'))
    .map((path) => `${path}/stat`);
}

/** utime, field 14 of proc_pid_stat(5); the second may hold blanks, and ends with a parenthesis. */
function userTicks(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[14 - 3]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
