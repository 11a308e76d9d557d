import { afterAll, beforeAll, expect, test } from 'vitest';
import { GuestVm } from '../../support/lab/guest-vm.js';
import { Lab } from '../../support/lab/lab.js';
import { moveThroughOutage } from '../../support/lab/outage.js';
import { expectUnharmed } from '../../support/lab/unharmed.js';

// As ../cable.test.ts, for longer than any pause of TCP, and than a task of the guest may wait before its kernel tells; and for
// so short that nothing breaks.

const PORT = 7310;

let lab: Lab;
const vm = new GuestVm('vm', true);

beforeAll(async () => {
  lab = await Lab.start({ name: 'long-cable', debian: ['bookworm', 'trixie'] });
  await vm.run(lab.host(1), { cpus: 1, patternMib: 96, restUs: 5000 });
  await vm.console.newKernelComplaints(); // those of the boot
});
afterAll(() => lab?.close());

test('120 s', async () => {
  await moveThroughOutage(vm, lab.host(2), PORT, { seconds: 120, breaks: true });
  await expectUnharmed(vm);
});

test('120 s on the way back, and 40 s while the ends find each other', async () => {
  await moveThroughOutage(vm, lab.host(1), PORT + 1, { seconds: 120, breaks: true, again: 40 });
  await expectUnharmed(vm);
});

test('5 s: it is no broken link', async () => {
  const { summary } = await moveThroughOutage(vm, lab.host(2), PORT + 2, { seconds: 5, breaks: false });
  expect(summary.pages.resent).toBe(0);
  await expectUnharmed(vm);
});
