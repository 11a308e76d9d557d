import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sleep } from '../../support/lab/deadline.js';
import { DebianDisks, DebianVm } from '../../support/lab/debian-vm.js';
import { Lab } from '../../support/lab/lab.js';

// A stock guest writes to an image that its host has no space for: it stands still, and `postcopy status` says why, until
// there is room and somebody says so. The guest notices nothing but the time.

const FOLDER = '/run/small';
const IMAGE = `${FOLDER}/scratch.img`;
const IMAGE_MIB = 64;
const ROOM_MIB = 12;
const WRITTEN_MIB = 20;
const LINE = 'a line of the guest\n';
const STEP_LIMIT_MS = 300_000;
/** A tick comes every 300 ms. */
const STILL_MS = 5000;

let lab: Lab;
let disks: DebianDisks;
const vm = new DebianVm();

beforeAll(async () => {
  disks = await DebianDisks.make('disk-full');
  lab = await Lab.start({ name: 'disk-full', hosts: 1, disks: disks.all });
});
afterAll(async () => {
  await lab?.close();
  disks?.remove();
});

const onHost = (command: string): Promise<string> => lab.host(1).run(command);

async function expectStopped(): Promise<void> {
  await expect.poll(() => vm.status(), { timeout: STEP_LIMIT_MS, interval: 1000 }).toMatch(/^state +paused$/m);
  const status = await vm.status();
  expect(status).toMatch(/no space left/);
  expect(status).toContain('scratch');
  const { length } = vm.console.text;
  await sleep(STILL_MS);
  expect(vm.console.text.slice(length)).toBe('');
}

test('boots with a disk that its host has too little room for', async () => {
  await onHost(
    `mkdir -p ${FOLDER}; mount -t tmpfs -o size=${ROOM_MIB}m small ${FOLDER}; truncate -s ${IMAGE_MIB}M ${IMAGE}`,
  );
  await vm.boot(lab.host(1), { cpus: 1, disk: `path=${IMAGE},id=scratch` });
  await vm.work();
  await vm.console.newKernelComplaints(); // those of the boot
});

test('stands still when the room is used up, and the status says why', async () => {
  const write = `dd of=/dev/vdb bs=64k iflag=fullblock oflag=direct`;
  vm.console.send(`run (yes '${LINE.trim()}' | head -c ${WRITTEN_MIB}M | ${write}; echo LAB written $?) 2>&1 &`);
  await expectStopped();
});

test('stands still again if nobody has made room', async () => {
  await onHost('postcopy resume web');
  await expectStopped();
});

test('goes on when there is room, and has noticed nothing', async () => {
  await onHost(`mount -o remount,size=${IMAGE_MIB}m ${FOLDER}; postcopy resume web`);
  await vm.console.waitFor(/LAB written 0\r?\n/, STEP_LIMIT_MS);
  await vm.console.moreTicks(10, STEP_LIMIT_MS);
  const numbers = vm.console.ticks.map((tick) => tick.number);
  expect(numbers).toEqual(numbers.map((_, index) => index));
  await vm.console.verifyPattern(STEP_LIMIT_MS);
  expect(await vm.console.newKernelComplaints()).toEqual([]);
  expect(await vm.status()).toMatch(/^state +running$/m);
  const written = Buffer.alloc(WRITTEN_MIB * 1024 * 1024, LINE);
  const sum = createHash('sha256').update(written).digest('hex');
  expect(await onHost(`head -c ${written.length} ${IMAGE} | sha256sum`)).toMatch(`${sum} `);
});
