/** VMs with postcopy's own guest, for one test; they are gone when it is over, however it ends. */
import { readdirSync, readFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { onTestFinished } from 'vitest';
import { guestBinary } from '../../src/trial/guest-binary.js';
import type { GuestConsole } from '../../src/trial/guest-console.js';
import { SpawnedVm } from '../../src/trial/spawned-vm.js';
import { onMachine } from './machine.js';

/** Never-written pages that a verification looks at. */
const OUTSIDE_PAGES = 100;

export interface SourceOptions {
  name?: string;
  memory?: string;
  cpus?: number;
  /** MiB that the guest fills and works on, less the guest's own; 0: it stays idle. */
  fillMib?: number;
  pattern?: string;
  /** A reset restarts the guest. */
  reboot?: boolean;
  kernel?: string;
  words?: string[];
  /** What the process is started through. */
  launcher?: string[];
}

export interface LoadedVm {
  vm: SpawnedVm;
  guest: GuestConsole;
}

/** `postcopy run` with the guest at work. */
export async function startSource(options: SourceOptions = {}): Promise<LoadedVm> {
  const { name = 'vm', memory = '128M', cpus = 1, fillMib = 8, kernel = guestBinary() } = options;
  const vm = spawnVm(
    'run',
    name,
    [
      ...['--kernel', kernel, '--memory', memory, '--cpus', String(cpus)],
      ...(options.reboot === true ? [] : ['--no-reboot']),
      ...(options.words ?? ['--serial', 'null']),
    ],
    options.launcher,
  );
  await vm.reach('running');
  yieldCores(vm.pid);
  const guest = await vm.guest();
  if (fillMib > 0) {
    await guest.command(`fill mib=${fillMib}`, 'filled');
    await work(guest, options.pattern);
  }
  return { vm, guest };
}

function spawnVm(command: 'run' | 'receive', name: string, words: string[], launcher: string[] = []): SpawnedVm {
  const [, ...all] = onMachine([command, ...words]);
  const vm = new SpawnedVm(command, name, all, launcher);
  onTestFinished(() => vm.dispose());
  return vm;
}

/** The guest never halts; it leaves the cores to the processes that the test is about. */
export function yieldCores(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8');
    if (name.startsWith('vcpu')) setPriority(Number(thread), constants.priority.PRIORITY_LOW);
  }
}

export interface WaitingVm {
  vm: SpawnedVm;
  address: { host: string; port: number };
}

/** `postcopy receive`, ready for a VM. */
export async function startDestination(name = 'vm', words: string[] = [], launcher: string[] = []): Promise<WaitingVm> {
  const vm = spawnVm('receive', name, ['--listen', '127.0.0.1:0', '--serial', 'null', ...words], launcher);
  const { listen } = await vm.reach('waiting');
  const [host, port] = listen!.split(':');
  return { vm, address: { host: host!, port: Number(port) } };
}

/** The guest reads, checks and rewrites its working set from now on. */
export async function work(guest: GuestConsole, pattern = 'uniform'): Promise<void> {
  await guest.command(`start pattern=${pattern}`, 'started');
}

/** Throws unless every page of the working set is whole and the others read zero; returns the pages checked. */
export async function verifyWhole(guest: GuestConsole): Promise<number> {
  const { pages, bad, outside_bad } = await guest.verify(OUTSIDE_PAGES);
  if (bad > 0 || outside_bad > 0) throw new Error(`${bad} of ${pages} pages are bad, ${outside_bad} outside of them`);
  return pages;
}

/** Does the guest answer on the console of this VM within `waitMs`? */
export async function answers(vm: SpawnedVm, waitMs: number): Promise<boolean> {
  const stream = await vm.client.console();
  const question = `are-you-there-${++questions}`;
  try {
    return await new Promise<boolean>((resolve) => {
      let heard = '';
      const timer = setTimeout(() => resolve(false), waitMs);
      stream.on('error', () => {}); // 'close' follows
      stream.on('close', () => resolve(false));
      stream.on('data', (chunk: Buffer) => {
        heard += chunk.toString('latin1');
        if (!heard.includes(`"text":"${question}"`)) return;
        clearTimeout(timer);
        resolve(true);
      });
      stream.write(`echo ${question}\n`);
    });
  } finally {
    stream.destroy();
  }
}

let questions = 0;
