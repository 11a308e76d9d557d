import { afterAll, beforeAll, test } from 'vitest';
import { expectDebianUnharmed, expectWholeAfterPowerOff, startDebianWork } from '../../support/lab/debian-unharmed.js';
import { DebianDisks, DebianVm } from '../../support/lab/debian-vm.js';
import type { LabHost } from '../../support/lab/host.js';
import { Lab } from '../../support/lab/lab.js';
import { moveThroughOutage } from '../../support/lab/outage.js';
import { Peer } from '../../support/lab/peer.js';

// As ../cable.test.ts, 40 s with the Debian machine of ../debian.test.ts: it has a disk, and a TCP connection with a third
// host, which does not notice more than that nothing comes for a while.

const PORT = 7330;
const PEER_PORT = 7700;
const OUTAGE_S = 40;

let lab: Lab;
let disks: DebianDisks;
let peer: Peer;
const vm = new DebianVm(true);

beforeAll(async () => {
  disks = await DebianDisks.make('debian-cable');
  lab = await Lab.start({ name: 'debian-cable', hosts: 3, peerMemoryMib: 512, disks: disks.all });
  peer = await Peer.start(lab.host(3), PEER_PORT);
});
afterAll(async () => {
  await lab?.close();
  disks?.remove();
});

async function move(to: LabHost, port: number): Promise<void> {
  await peer.resetSilence();
  await moveThroughOutage(vm, to, port, { seconds: OUTAGE_S, breaks: true });
  await expectDebianUnharmed(vm, peer);
  const { slowestMs } = await vm.console.disk();
  console.info(
    `longest silence on the peer's connection ${peer.report?.longestSilenceMs} ms,`,
    `slowest write and read of a block so far ${slowestMs} ms`,
  );
}

test('boots, writes to its disk and talks to a peer', async () => {
  await vm.boot(lab.host(1), { cpus: 2 });
  await startDebianWork(vm, peer);
});

test('moves, and what it has not got is out of reach for a while', () => move(lab.host(2), PORT));
test('and back', () => move(lab.host(1), PORT + 1));

test('its power button shuts it down, and its file system is whole', () => expectWholeAfterPowerOff(vm, lab, disks));
