/** A destination whose VM comes in rounds before the hand-over, and sources that do not keep to their rules. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PageBitmap } from '../../src/memory/page-bitmap.js';
import { PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { encodeRamMap } from '../../src/memory/ram-map.js';
import type { State } from '../../src/migrate/wire/message.js';
import { ROUNDS } from '../../src/migrate/wire/protocol.js';
import { useCleanRoom } from '../support/clean-room.js';
import { FakeRounds, halfAnExtent, snapshotOf } from '../support/fake-rounds.js';
import { startDestination, startSource, work, type WaitingVm } from '../support/guest-vms.js';
import { refusalOf } from '../support/hostile-source.js';

useCleanRoom();

const JUNK = new Uint8Array(PAGE_SIZE).fill(0xa5);
const isZero = (content: Uint8Array) => content.every((byte) => byte === 0);

const mapOf = (pages: readonly number[], all: number) => {
  const map = new PageBitmap(all);
  for (const page of pages) map.set(page);
  return encodeRamMap(map.extents());
};

/** Kilobytes of RAM that the process has in memory. */
function residentKb({ vm }: WaitingVm): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${vm.pid}/status`, 'latin1'))![1]);
}

test('what came last counts, what was dropped reads zero, and what is dirty comes again', async () => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 2 }), startDestination()]);
  const { hello, state, content } = await snapshotOf(source);
  await source.vm.client.stop({ force: true });
  const rounds = await FakeRounds.open(destination, { ...hello, mode: 'hybrid', features: [ROUNDS] });
  const all = pagesFor(hello.memoryBytes);
  const whole = Array.from({ length: all }, (_, page) => page);
  const data = whole.filter((page) => content.has(page));
  const contentOf = (page: number) => content.get(page)!;
  rounds.control.send('copying', {});

  // All of RAM has something else in it at first: what the guest rewrites, frees and zeroes.
  rounds.send(whole, () => JUNK);
  await rounds.barrier();
  const lacking = data.filter((_, i) => i % 3 === 0);
  const held = data.filter((_, i) => i % 3 !== 0);
  rounds.sendZero(held.filter((page) => isZero(contentOf(page))));
  rounds.sendZero(whole.filter((page) => !content.has(page) && page % 2 === 0));
  await rounds.barrier();
  rounds.send(
    held.filter((page) => !isZero(contentOf(page))),
    contentOf,
  );
  await rounds.barrier();

  const left = new Set(lacking);
  const firstPages = state.firstPages.filter((page) => left.delete(page));
  const served = rounds.serve((page) => left.delete(page), contentOf);
  rounds.control.send('state', {
    ...state,
    ...{ ramMap: mapOf(lacking, all), held: mapOf(held, all), firstPages },
    firstContent: Buffer.concat(firstPages.map(contentOf)),
  });
  expect(await rounds.control.message('loaded')).toBeDefined();
  rounds.control.send('commit', { epoch: hello.epoch, sinceClockMicros: 0 });
  expect(await rounds.control.message('running')).toBeDefined();
  rounds.control.send('pushing', {});
  const guest = await destination.vm.guest();
  await work(guest);
  expect(left.size).toBeGreaterThan(0); // it runs, and what it has not asked for is missing
  rounds.send(
    lacking.filter((page) => left.delete(page)),
    contentOf,
  );
  expect(await rounds.control.message('complete')).toBeDefined();
  rounds.control.send('bye', {});
  const { pages, bad, outside, outside_bad } = await guest.verify(all);
  expect([pages > 0, bad, outside > 0, outside_bad]).toEqual([true, 0, true, 0]);
  await served;
});

test('sources that do not keep to the rules: it goes on waiting, with nothing of theirs left', async () => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 0 }), startDestination()]);
  const { hello: theirs, state, content } = await snapshotOf(source);
  const hello = { ...theirs, mode: 'pre-copy', features: [ROUNDS] };
  const all = pagesFor(hello.memoryBytes);
  const some = [5, 6, 7];
  const mapped = (held: readonly number[], lacking: readonly number[]): State => ({
    ...{ ...state, firstPages: [], firstContent: new Uint8Array(0) },
    ...{ held: mapOf(held, all), ramMap: mapOf(lacking, all) },
  });
  const plays: [string, (rounds: FakeRounds) => Promise<void> | void, RegExp | undefined][] = [
    ['pages beyond RAM', (rounds) => rounds.send([all], () => JUNK), /page 16384; the VM has 16384/],
    ['zeroes beyond RAM', (rounds) => rounds.sendZero([all]), /page 16384; the VM has 16384/],
    ['RAM', ({ control }) => control.send('ram', { ramMap: mapOf(some, all) }), /ram out of turn, while copying/],
    ['COPYING again', ({ control }) => control.send('copying', {}), /copying out of turn, while copying/],
    [
      'a page that has not come',
      ({ control }) => control.send('state', mapped([8], [])),
      /STATE has pages here that have not all come, among 8 to 8/,
    ],
    [
      'a page both here and to come',
      ({ control }) => control.send('state', mapped(some, [7])),
      /STATE has pages both here and to come, among 7 to 7/,
    ],
    [
      'an end in the middle of a round',
      ({ control, bulk }) => (bulk.write(halfAnExtent(5)), void control.socket.end()),
      undefined,
    ],
  ];
  for (const [what, play, why] of plays) {
    const rounds = await FakeRounds.open(destination, hello);
    rounds.control.send('copying', {});
    rounds.send(some, () => JUNK);
    await rounds.barrier();
    await play(rounds);
    const abort = await rounds.control.message('abort');
    if (why !== undefined) expect(abort?.reason, what).toMatch(why);
    rounds.control.socket.destroy();
    await destination.vm.reach('waiting');
  }
  expect(await refusalOf({ ...hello, mode: 'telepathy' }, destination)).toMatch(/telepathy, which this release/);
  expect(await refusalOf({ ...hello, features: [] }, destination)).toMatch(/does not offer to send pages in rounds/);

  // Its memory is what RAM takes, however much is sent; and it is given back.
  const flood = await FakeRounds.open(destination, hello);
  const whole = Array.from({ length: all }, (_, page) => page);
  const resident: number[] = [];
  for (let i = 0; i < 4; i++) {
    flood.send(whole, () => JUNK);
    await flood.barrier();
    resident.push(residentKb(destination));
  }
  const half = hello.memoryBytes / 1024 / 2;
  expect(resident[3]! - resident[0]!).toBeLessThan(half);
  flood.control.socket.destroy();
  await destination.vm.reach('waiting');
  expect(residentKb(destination)).toBeLessThan(resident[3]! - half);

  // A page that is on its way when STATE comes is written nowhere, and the guest never runs on it.
  const late = await FakeRounds.open(destination, hello);
  // In one piece: where whole pages are acknowledged, the header behind them is read.
  late.bulk.socket.cork();
  late.send(some, () => JUNK);
  late.bulk.write(halfAnExtent(whole.find((page) => !content.has(page))!));
  late.bulk.socket.uncork();
  await late.barrier();
  const served = late.serve(
    () => true,
    (page) => content.get(page)!,
  );
  late.control.send('state', { ...state, ramMap: mapOf([...content.keys()], all) });
  expect(await late.control.message('loaded')).toBeDefined();
  late.bulk.write(JUNK);
  const why = /STATE while pages of a round were on their way/;
  expect((await late.control.message('abort'))?.reason).toMatch(why);
  late.control.send('bye', {});
  await served;
  expect((await destination.vm.ended).stderr).toMatch(why);
});
