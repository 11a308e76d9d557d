import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectDebianUnharmed, expectWholeAfterPowerOff, startDebianWork } from '../support/lab/debian-unharmed.js';
import { DebianDisks, DebianVm } from '../support/lab/debian-vm.js';
import type { LabHost } from '../support/lab/host.js';
import { Lab } from '../support/lab/lab.js';
import { Peer } from '../support/lab/peer.js';

// The manual's Debian machine, by the manual's commands (test/support/lab/tutorial.ts), moves from host to host and back
// while it works: its disk is on storage that both hosts see, its network on a bridge of each, and a third host talks to
// it all the time.

const PORT = 7000;
const PEER_PORT = 7700;
const STEP_LIMIT_MS = 300_000;
const END_LIMIT_MS = 300_000;

let lab: Lab;
let disks: DebianDisks;
let peer: Peer;
const vm = new DebianVm();

beforeAll(async () => {
  disks = await DebianDisks.make('debian');
  lab = await Lab.start({ name: 'debian', hosts: 3, peerMemoryMib: 512, disks: disks.all });
  peer = await Peer.start(lab.host(3), PEER_PORT);
});
afterAll(async () => {
  await lab?.close();
  disks?.remove();
});

async function move(to: LabHost): Promise<void> {
  const source = vm.here;
  const receiver = await vm.receive(to, PORT);
  await peer.resetSilence();
  const { code, stdout, stderr } = await vm.move(to, PORT, receiver);
  const ends = [source.process.describeOutput(), receiver.describeOutput()].join('\n');
  expect(code, `${stderr}\n${stdout}\n${ends}`).toBe(0);
  expect(stdout).toMatch(`web is at ${to.address}:${PORT}, moved completely`);
  expect(await source.process.ended(END_LIMIT_MS)).toBe(0);
  expect(await vm.status()).toMatch(/^state +running$/m);
  await expectDebianUnharmed(vm, peer);
  const { slowestMs } = await vm.console.disk();
  console.info(
    `to ${to.name}:\n${stdout}longest silence on the peer's`,
    `connection ${peer.report?.longestSilenceMs} ms, slowest write and read of a block so far ${slowestMs} ms`,
  );
}

test('Debian boots to a login, its disk and network under its own drivers', async () => {
  const start = performance.now();
  await vm.boot(lab.host(1), { cpus: 2 });
  console.info(`login after ${Math.round((performance.now() - start) / 1000)} s`);
  expect(await vm.shell('systemctl is-system-running --wait', STEP_LIMIT_MS)).toMatch(/running/);
  expect(await vm.shell('nproc; findmnt -n -o SOURCE,FSTYPE /', STEP_LIMIT_MS)).toMatch(/^2\s+\/dev\/vda +ext4/);
  await vm.shell(`ping -c 1 -W 5 ${peer.host.address}`, STEP_LIMIT_MS);
});

test('its console can be joined and left', () => vm.visitConsole());

test('it writes to its disk and talks to a peer', () => startDebianWork(vm, peer));

test('it moves to host 2 while it works', () => move(lab.host(2)));

test('and back to host 1', () => move(lab.host(1)));

test('its power button shuts it down, and its file system is whole', () => expectWholeAfterPowerOff(vm, lab, disks));
