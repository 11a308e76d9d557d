import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../support/lab/deadline.js';
import { GuestVm } from '../support/lab/guest-vm.js';
import { Lab } from '../support/lab/lab.js';
import { expectUnharmed } from '../support/lab/unharmed.js';

// The destination lost before COMMIT, with a stock guest and a real network between the hosts: the guest runs on at the
// source, whole. Host and link lost are in long/kill.test.ts, every phase of the hand-over in test/vm/failure-*.test.ts.

const PORT = 7100;
const END_LIMIT_MS = 150_000;

let lab: Lab;
const vm = new GuestVm('vm');

beforeAll(async () => {
  lab = await Lab.start({ name: 'kill' });
  await vm.run(lab.host(1), { cpus: 1, patternMib: 16 });
  await vm.console.newKernelComplaints(); // those of the boot
});
afterAll(() => lab?.close());

test('the destination process is killed before COMMIT: the guest runs on', async () => {
  const receiver = await vm.receive(lab.host(2), PORT);
  // Holds the hand-over before COMMIT for as long as the test likes: the destination cannot answer while stopped.
  receiver.kill('SIGSTOP');
  const migration = lab
    .host(1)
    .exec(`postcopy migrate vm ${lab.host(2).address}:${PORT} --key ${vm.key} --json`, { timeoutMs: 120_000 });
  await sleep(1000);
  receiver.kill('SIGKILL');
  expect((await migration).code).not.toBe(0);
  await receiver.ended(END_LIMIT_MS);
  await expectUnharmed(vm);
});
