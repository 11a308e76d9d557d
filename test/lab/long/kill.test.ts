import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../../support/lab/deadline.js';
import { GuestVm } from '../../support/lab/guest-vm.js';
import { Lab } from '../../support/lab/lab.js';
import { expectUnharmed } from '../../support/lab/unharmed.js';

// As ../kill.test.ts, with the link or the whole host lost.

const PORT = 7110;
const END_LIMIT_MS = 150_000;

let lab: Lab;
const vm = new GuestVm('vm');

beforeAll(async () => {
  lab = await Lab.start({ name: 'long-kill' });
  await vm.run(lab.host(1), { cpus: 1, patternMib: 16 });
  await vm.console.newKernelComplaints(); // those of the boot
});
afterAll(() => lab?.close());

test('the cable is pulled before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  receiver.kill('SIGSTOP'); // keeps the hand-over before COMMIT
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --key ${vm.key} --json`, { timeoutMs: 180_000 });
  await sleep(1000);
  await lab.host(1).setLink(false);
  try {
    expect((await migration).code).not.toBe(0);
  } finally {
    await lab.host(1).setLink(true);
    receiver.kill('SIGKILL');
  }
  await receiver.ended(END_LIMIT_MS);
  await expectUnharmed(vm);
});

test('the destination host loses its power before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  receiver.kill('SIGSTOP');
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --key ${vm.key} --json`, { timeoutMs: 180_000 });
  await sleep(1000);
  await lab.host(2).cutPower();
  expect((await migration).code).not.toBe(0);
  await expectUnharmed(vm);
});
