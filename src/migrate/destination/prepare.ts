/**
 * Whether this host can take the VM that HELLO announces; and all that takes time is made ready, so that none of it is
 * left when the guest has stopped.
 */
import type { MachineName } from '../../configure/machine-setting.js';
import { describeError } from '../../errors.js';
import { pagesFor } from '../../memory/page-size.js';
import type { Machine } from '../../machine/machine.js';
import { raiseMainThread } from '../../threads/priorities.js';
import type { PageWorker } from '../../threads/page-worker.js';
import type { Hello } from '../wire/message.js';
import { tscObjections } from './checks/check-hello.js';
import type { DestinationJob } from './job.js';
import { comesInRounds } from './rounds.js';
import type { DestinationPageChannels, PageChannelEvents } from './page-channels.js';

export interface PrepareHooks {
  /** Opens what the VM's devices need of this host; what stands against that. */
  openDevices(hello: Hello, signal: AbortSignal): Promise<string[]>;
  /** What it can be. */
  machine: MachineName;
  /** Builds the machine that the VM will live in. */
  createMachine(hello: Hello): Promise<Machine>;
  /** A page worker, started before; this VM's from now on. Called once, after the VM was found acceptable. */
  takePageWorker(): Promise<PageWorker<DestinationJob>>;
}

/** What the VM is prepared with; a test hands in others. */
export interface PrepareParts {
  objectionsTo(hello: Hello, machine: MachineName): Promise<string[]>;
  createChannels(...options: Parameters<typeof DestinationPageChannels.create>): Promise<ArrivalChannels>;
  rehearse(machine: Machine): Promise<void>;
}

export type ArrivalChannels = Pick<
  DestinationPageChannels,
  | 'attach'
  | 'attached'
  | 'becomeWhole'
  | 'broken'
  | 'close'
  | 'endRounds'
  | 'expect'
  | 'faultsWaiting'
  | 'handOver'
  | 'install'
  | 'letGo'
  | 'pages'
  | 'pagesMissing'
  | 'part'
  | 'rejoin'
  | 'sum'
  | 'takesRounds'
  | 'unregister'
  | 'waits'
  | 'wholeBlocks'
>;

/** The machine that was made for a VM, and what brings its pages. */
export interface Arrival {
  hello: Hello;
  machine: Machine;
  channels: ArrivalChannels;
}

/** Resolves to what stands against the VM, with nothing of it left here, if anything does. */
export async function prepare(
  hello: Hello,
  hooks: PrepareHooks,
  parts: PrepareParts,
  events: PageChannelEvents,
  signal: AbortSignal,
): Promise<Arrival | string[]> {
  raiseMainThread();
  try {
    const objections = await parts.objectionsTo(hello, hooks.machine);
    signal.throwIfAborted();
    objections.push(...(await hooks.openDevices(hello, signal)));
    signal.throwIfAborted();
    if (objections.length > 0) return objections;
    return await build(hello, hooks, parts, events, signal);
  } catch (error) {
    return [describeError(error)];
  }
}

async function build(
  hello: Hello,
  hooks: PrepareHooks,
  parts: PrepareParts,
  events: PageChannelEvents,
  signal: AbortSignal,
): Promise<Arrival | string[]> {
  const machine = await hooks.createMachine(hello);
  let channels: ArrivalChannels | undefined;
  try {
    const objections = machineObjections(hello, machine);
    if (objections.length > 0) {
      await machine.close();
      return objections;
    }
    signal.throwIfAborted();
    machine.setTscKhz(hello.tscKhz);
    const worker = await hooks.takePageWorker();
    const pages = pagesFor(hello.memoryBytes);
    const rounds = comesInRounds(hello);
    const pageLost = (page: number) => void (machine.lostPages.add(page) && events.pageLost(page));
    const all = { ...events, pageLost };
    channels = await parts.createChannels(machine.memory, pages, hello.bulkChannels, worker, all, rounds);
    machine.comingPages = channels;
    await parts.rehearse(machine);
    // What is in RAM after rounds is the guest's.
    if (rounds) machine.memory.release(0, pages);
    return { hello, machine, channels };
  } catch (error) {
    await letGo(machine, channels);
    throw error;
  }
}

function machineObjections(hello: Hello, machine: Machine): string[] {
  const objections = tscObjections(hello.tscKhz, machine.tscKhz, machine.kind.scalesTsc());
  const { xsaveBytes } = machine;
  if (xsaveBytes !== hello.xsaveBytes) {
    objections.push(`its vCPUs have ${hello.xsaveBytes} bytes of XSAVE state; this host's ${xsaveBytes}`);
  }
  return [...objections, ...machine.tryMsrs(hello.constantMsrs)];
}

/** Nothing of the VM stays here. Its vCPUs have never run, so no fault of theirs can go wrong. */
export async function letGo(machine: Machine, channels: ArrivalChannels | undefined): Promise<void> {
  try {
    await machine.close();
  } finally {
    await channels?.letGo(); // also if a device of the machine still waits for a page
  }
}
