/** A source that does not mean well, before a real destination, and what the destination is then. */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Hello } from '../../src/migrate/wire/message.js';
import { FakeChannel, FakeDestination, greet } from './fake-peers.js';
import { startSource, verifyWhole, type WaitingVm } from './guest-vms.js';

const ID = new Uint8Array(16).fill(7);

/** What a real source says first; nothing speaks against it until the test changes it. */
export async function realHello(): Promise<Hello> {
  const source = await startSource({ memory: '64M', fillMib: 0 });
  let heard: Hello | undefined;
  const fake = await FakeDestination.open(async ({ hello, control }) => {
    heard = hello;
    control.socket.destroy();
  });
  expect((await source.vm.client.migrate(fake.address, () => {})).status).toBe('failed');
  await source.vm.client.stop({ force: true });
  return heard!;
}

export function descriptors({ vm }: WaitingVm): number {
  return readdirSync(`/proc/${vm.pid}/fd`).length;
}

/** Workers that were started ahead open, and those that have ended close, what is theirs a moment later. */
export async function settledDescriptors(destination: WaitingVm): Promise<number> {
  let last = -1;
  for (; last !== descriptors(destination); await delay(500)) last = descriptors(destination);
  return last;
}

/** A real VM still comes in, after all that. */
export async function stillTakesAVm(destination: WaitingVm): Promise<void> {
  await destination.vm.reach('waiting');
  const source = await startSource();
  expect((await source.vm.client.migrate(destination.address, () => {})).status).toBe('completed');
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
}

/** Says this HELLO, which the destination must refuse, and go on waiting; its reasons. */
export async function refusalOf(hello: Hello, destination: WaitingVm): Promise<string | undefined> {
  const control = FakeChannel.open(destination.address);
  expect(await greet(control, 'control', ID)).toBe('welcome');
  control.send('hello', hello);
  const refusal = await control.message('refuse');
  await control.closed();
  await destination.vm.reach('waiting');
  return refusal?.reasons.join('\n');
}
