import { expect } from 'vitest';
import { runHere } from './commands.js';
import type { DebianDisks, DebianVm } from './debian-vm.js';
import { clockWentBack } from './guest-lines.js';
import type { Lab } from './lab.js';
import type { Peer } from './peer.js';

/** What the guest's lab-work keeps, checks and rewrites all the time. */
const FILE = '/var/lib/lab.data';
const FILE_MIB = 4;
const TICKS = 30;
const LINES = 100;
const STEP_LIMIT_MS = 300_000;
const END_LIMIT_MS = 300_000;

/** It ticks, writes to its disk and talks to the peer from now on, and has done all that without a fault so far. */
export async function startDebianWork(vm: DebianVm, peer: Peer): Promise<void> {
  await vm.work();
  vm.console.send(`disk ${FILE} ${FILE_MIB}`);
  vm.console.send(`stream ${peer.host.address} ${peer.port}`);
  await peer.process.output(/"open":true/, STEP_LIMIT_MS);
  const complaints = await vm.console.newKernelComplaints();
  // An emulated CPU is cause enough for warnings at boot, but not for these.
  expect(complaints.filter((line) => /lockup|stall|blocked for|hogged|error|EXT4/i.test(line))).toEqual([]);
  await expectDebianUnharmed(vm, peer);
}

/** No tick is lost, memory and file hold what was written, the connection lives, the kernel has no complaint. */
export async function expectDebianUnharmed(vm: DebianVm, peer: Peer): Promise<void> {
  const { console: terminal } = vm;
  await terminal.moreTicks(TICKS, STEP_LIMIT_MS);
  const numbers = terminal.ticks.map((tick) => tick.number);
  expect(numbers).toEqual(numbers.map((_, index) => index));
  expect(clockWentBack(terminal.ticks)).toBe(false);
  await terminal.verifyPattern(STEP_LIMIT_MS);
  await terminal.verifyDisk(STEP_LIMIT_MS);
  expect(await peer.moreLines(LINES, STEP_LIMIT_MS)).toMatchObject({ open: true, errors: 0 });
  expect(await terminal.stream()).toMatchObject({ open: true, errors: 0 });
  expect(await terminal.newKernelComplaints()).toEqual([]);
}

/** Its power button shuts it down; its file system is whole, and the file there is the one that it wrote. */
export async function expectWholeAfterPowerOff(vm: DebianVm, lab: Lab, disks: DebianDisks): Promise<void> {
  vm.console.send('quit');
  await vm.console.waitFor(/LAB quit[^]*root@web:~# /, STEP_LIMIT_MS);
  const sum = /^[0-9a-f]{64}/.exec(await vm.shell(`sha256sum ${FILE}`, STEP_LIMIT_MS))?.[0];
  await vm.stop(END_LIMIT_MS);
  expect(await vm.here.process.ended(END_LIMIT_MS)).toBe(0);
  await lab.close();
  await runHere('e2fsck', ['-fn', disks.root]);
  const command = `debugfs -R 'cat ${FILE}' "$1" 2>/dev/null | sha256sum`;
  expect(await runHere('sh', ['-c', command, 'sh', disks.root])).toMatch(`${sum} `);
}
