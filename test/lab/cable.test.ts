import { afterAll, beforeAll, test } from 'vitest';
import { GuestVm } from '../support/lab/guest-vm.js';
import { Lab } from '../support/lab/lab.js';
import { moveThroughOutage } from '../support/lab/outage.js';
import { expectUnharmed } from '../support/lab/unharmed.js';

// The cable is out while the pages of a stock guest still come: the guest runs on where it has its pages, waits where it has
// not, and neither it nor its kernel has anything to complain of afterwards. 5 s and 120 s are in long/cable.test.ts.

const PORT = 7300;
/** So much, and so slowly checked, that pages still come when the cable is out. */
const GUEST = { cpus: 1, patternMib: 96, restUs: 5000 };

let lab: Lab;
const vm = new GuestVm('vm', true);

beforeAll(async () => {
  lab = await Lab.start({ name: 'cable', debian: ['bookworm', 'trixie'] });
  await vm.run(lab.host(1), GUEST);
  await vm.console.newKernelComplaints(); // those of the boot
});
afterAll(() => lab?.close());

test('40 s, and again while the ends find each other', async () => {
  await moveThroughOutage(vm, lab.host(2), PORT, { seconds: 40, breaks: true, again: 5 });
  await expectUnharmed(vm);
});
