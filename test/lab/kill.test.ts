import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../support/lab/deadline.js';
import { GuestVm } from '../support/lab/guest-vm.js';
import { Lab } from '../support/lab/lab.js';

// Host, process or link lost before COMMIT, with a stock guest and a real network between the hosts: the guest runs on at
// the source, whole. Every phase of the hand-over is in test/vm/failure-*.test.ts.

const PORT = 7100;
const TICKS = 20;
const TICKS_LIMIT_MS = 150_000;
const VERIFY_LIMIT_MS = 300_000;
const END_LIMIT_MS = 150_000;

let lab: Lab;
const vm = new GuestVm('vm');

beforeAll(async () => {
  lab = await Lab.start({ name: 'kill' });
  await vm.run(lab.host(1), { cpus: 1, patternMib: 16 });
  await vm.console.newKernelComplaints(); // those of the boot
});
afterAll(() => lab?.close());

/** A guest that lost nothing: every tick is there, the pattern holds, the kernel has no complaint. */
async function expectUnharmed(): Promise<void> {
  await vm.console.moreTicks(TICKS, TICKS_LIMIT_MS);
  const numbers = vm.console.ticks.map((tick) => tick.number);
  expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index));
  await vm.console.verifyPattern(VERIFY_LIMIT_MS);
  expect(await vm.console.newKernelComplaints()).toEqual([]);
  expect(await vm.state(lab.host(1))).toBe('running');
}

test('the destination process is killed before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  // Holds the hand-over before COMMIT for as long as the test likes: the destination cannot answer while stopped.
  receiver.kill('SIGSTOP');
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --json`, { timeoutMs: 120_000 });
  await sleep(1000);
  receiver.kill('SIGKILL');
  expect((await migration).code).not.toBe(0);
  await receiver.ended(END_LIMIT_MS);
  await expectUnharmed();
});

test('the cable is pulled before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  receiver.kill('SIGSTOP'); // keeps the hand-over before COMMIT
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --json`, { timeoutMs: 180_000 });
  await sleep(1000);
  await lab.host(1).setLink(false);
  try {
    expect((await migration).code).not.toBe(0);
  } finally {
    await lab.host(1).setLink(true);
    receiver.kill('SIGKILL');
  }
  await receiver.ended(END_LIMIT_MS);
  await expectUnharmed();
});

test('the destination host loses its power before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  receiver.kill('SIGSTOP');
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --json`, { timeoutMs: 180_000 });
  await sleep(1000);
  await lab.host(2).cutPower();
  expect((await migration).code).not.toBe(0);
  await expectUnharmed();
});
