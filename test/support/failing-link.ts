/** Migrations over a link that fails, or whose ends do, at a moment of the test's choice; and what has to be true then. */
import { expect } from 'vitest';
import type { SpawnedVm } from '../../src/trial/spawned-vm.js';
import type { MessageType } from '../../src/migrate/wire/message.js';
import { CuttingProxy, type Fate, type Spring } from './cutting-proxy.js';
import { startDestination, verifyWhole, work, type LoadedVm, type WaitingVm } from './guest-vms.js';
import { complaints, postcopy, type CommandEnd } from './postcopy.js';

export const EXIT_FAILED = 12;
const EXIT_UNREACHABLE = 8;
const EXIT_BAD_PEER = 9;
const RUNS_HERE = 'runs here';

/** `frame` is broken on its way: the first byte of its body is another one. */
const corrupt: Spring = (frame) => {
  frame[8]! ^= 0xff;
};

export interface Link {
  destination: WaitingVm;
  proxy: CuttingProxy;
}

/** How the link or an end of it fails; `drop`: the message in hand with it. */
export type Failure = 'cut' | 'silence' | 'destination killed' | 'destination stopped' | 'source killed' | 'corrupt';

export function springOf(failure: Failure, { destination, proxy }: Link, source: LoadedVm): Spring {
  switch (failure) {
    case 'cut':
      return () => (proxy.cut(), 'drop');
    case 'silence':
      return () => (proxy.silence(), 'forward');
    case 'destination killed':
      return () => killed(destination.vm, proxy);
    case 'destination stopped':
      return () => (destination.vm.kill('SIGSTOP'), 'forward');
    case 'source killed':
      return () => killed(source.vm, proxy);
    case 'corrupt':
      return corrupt;
  }
}

/** Nothing passes from the kill on, as its moment is what counts. */
async function killed(vm: SpawnedVm, proxy: CuttingProxy): Promise<Fate> {
  proxy.silence();
  vm.kill('SIGKILL');
  await vm.ended;
  proxy.cut();
  return 'drop';
}

export async function openLink(): Promise<Link> {
  const destination = await startDestination();
  return { destination, proxy: await CuttingProxy.open(destination.address) };
}

/** `postcopy migrate` to an address, with --json and these words. */
export function migrate(
  source: LoadedVm,
  { host, port }: { host: string; port: number },
  words: string[] = [],
): Promise<CommandEnd> {
  const { runtimeDirectory } = source.vm;
  return postcopy(['migrate', 'vm', `${host}:${port}`, '--json', ...words], { runtimeDirectory });
}

/** What of it is the destination's has a code of its own. */
function exitsOf(failure: Failure, message: MessageType): number[] {
  if (failure === 'corrupt' && (message === 'accept' || message === 'loaded')) return [EXIT_BAD_PEER];
  // The page channels are opened then: either they or the control channel are missed first.
  return failure === 'destination killed' && message === 'accept' ? [EXIT_UNREACHABLE, EXIT_FAILED] : [EXIT_FAILED];
}

/** Breaks one migration at the message; the guest must go on at the source, whole. */
export async function failsBeforeCommit(
  source: LoadedVm,
  link: Link,
  [failure, when, message]: [Failure, 'before' | 'after', MessageType],
): Promise<void> {
  link.proxy.onMessage(message, when, springOf(failure, link, source));
  const end = await migrate(source, link.proxy.address);
  const step = `${failure} ${when} ${message}`;
  expect(link.proxy.sprung, step).toBe(true);
  expect(exitsOf(failure, message), `${step}: ${end.stderr}`).toContain(end.code);
  expect(complaints(end), step).toEqual([
    expect.stringMatching(/^postcopy: the migration failed, vm runs on here: .{10}/),
  ]);
  expect(JSON.parse(end.stdout), step).toMatchObject({ status: 'failed', pages: { demanded: 0, resent: 0 } });
  const status = await source.vm.client.status();
  expect(status, step).toMatchObject({ state: 'running', problem: expect.stringMatching(/.{10}/) });
  expect(await verifyWhole(source.guest), step).toBeGreaterThan(0);
  await work(source.guest);
}

/** The destination waits for a VM again, and says so, without having run the guest. It is of no use behind this. */
export async function destinationWaitsOn({ destination }: Link, step: string): Promise<void> {
  await destination.vm.reach('waiting');
  await destination.vm.client.stop({ force: true });
  const end = await destination.vm.ended;
  expect([end.signal, end.code], `${step}: ${end.stderr}`).toEqual([null, 0]);
  expect(end.stderr, step).toMatch(/^postcopy: no VM came from .{10,}; still waiting for one$/m);
  expect(end.stderr, step).not.toContain(RUNS_HERE);
}

/**
 * The same of one that has sent LOADED, perhaps, which the source has not heard: it waits for a source that may have handed
 * the guest over, unless somebody ends it.
 */
export async function destinationEndsWhenAsked({ destination }: Link, step: string): Promise<void> {
  await destination.vm.client.stop({ force: true }).catch(() => {}); // it may have given up already
  const end = await destination.vm.ended;
  expect(end.signal, step).toBe(null);
  expect([0, EXIT_FAILED], `${step}: ${end.stderr}`).toContain(end.code);
  expect(end.stderr, step).not.toContain(RUNS_HERE);
}

/** LOADED may have gone out, and the source, which broke off, cannot say so. */
export function mayWait(failure: Failure, when: 'before' | 'after', message: MessageType): boolean {
  if (failure === 'corrupt') return message === 'loaded'; // else ABORT gets through, or LOADED has not gone out
  return message === 'loaded' || (message === 'state' && when === 'after');
}

export async function movesAndIsWhole(source: LoadedVm, to: WaitingVm): Promise<void> {
  const end = await migrate(source, to.address);
  expect(end.code, end.stderr).toBe(0);
  expect(JSON.parse(end.stdout)).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect((await source.vm.ended).code).toBe(0);
  const moved = await to.vm.guest();
  expect(await verifyWhole(moved)).toBeGreaterThan(0);
  await to.vm.client.stop({ force: true });
  expect((await to.vm.ended).code).toBe(0);
}

/** A migration that breaks behind COMMIT: the ends find each other again, and the guest works on there, whole. */
export async function movesAllTheSame(source: LoadedVm, { destination, proxy }: Link, words?: string[]): Promise<void> {
  const end = await migrate(source, proxy.address, words);
  expect(proxy.sprung).toBe(true);
  expect(end.code, end.stderr).toBe(0);
  expect(JSON.parse(end.stdout)).toMatchObject({ status: 'completed' });
  expect((await source.vm.ended).code).toBe(0);
  const moved = await destination.vm.guest();
  expect(await verifyWhole(moved)).toBeGreaterThan(0);
  await work(moved);
  const awaitsSource = (await destination.vm.client.status()).interruption;
  expect(awaitsSource).toBeUndefined();
}

/** They end when they are asked to, whatever state they are in. */
export async function stops(...vms: SpawnedVm[]): Promise<void> {
  for (const vm of vms) await vm.client.stop({ force: true });
  for (const vm of vms) expect((await vm.ended).code).toBe(0);
}
