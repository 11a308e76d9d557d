import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab } from '../../support/lab/lab.js';
import { labFolder } from '../../support/lab/paths.js';
import { Peer } from '../../support/lab/peer.js';

// What the lab has for guests with disks and networks: a third host, a bridge on each, a disk that all share.

const DISK_BYTES = 16 * 1024 * 1024;
const disk = join(labFolder('disks'), `three-hosts-${process.pid}.img`);
let lab: Lab;

beforeAll(async () => {
  writeFileSync(disk, '');
  truncateSync(disk, DISK_BYTES);
  const disks = [{ file: disk, shared: true }];
  lab = await Lab.start({ name: 'three-hosts', hosts: 3, memoryMib: 512, peerMemoryMib: 256, disks });
});
afterAll(async () => {
  await lab?.close();
  rmSync(disk, { force: true });
});

test('each host reaches each other, by its bridge', async () => {
  for (const host of lab.hosts) {
    expect(await host.run('ls /sys/class/net/br0/brif')).toBe('eth0\n');
    for (const other of lab.hosts) await host.run(`ping -c 1 -W 5 ${other.address}`);
  }
});

test('a host without its cable is alone, and the others are not', async () => {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  await one.setLink(false);
  expect((await three.exec(`ping -c 1 -W 2 ${one.address}`)).code).not.toBe(0);
  await three.run(`ping -c 1 -W 5 ${two.address}`);
  await one.setLink(true);
  await three.run(`for try in 1 2 3 4 5; do ping -c 1 -W 2 ${one.address} && exit 0; done; exit 1`);
});

test('what one host writes to the shared disk, the other reads', async () => {
  const [one, two] = [lab.host(1), lab.host(2)];
  await one.run(`echo from host 1 | dd of=/dev/vdc bs=512 seek=100 conv=sync,fsync`);
  expect(await two.run('dd if=/dev/vdc bs=512 skip=100 count=1 | head -1')).toBe('from host 1\n');
});

test('the peer checks the lines of whoever connects', async () => {
  const [one, three] = [lab.host(1), lab.host(3)];
  const peer = await Peer.start(three, 7700);
  const good = one.spawn(`(seq 0 20; sleep 4) | nc ${three.address} 7700`);
  expect(await peer.moreLines(20, 20_000)).toMatchObject({ open: true, errors: 0 });
  await peer.resetSilence();
  expect(peer.report?.longestSilenceMs).toBeLessThan(4000);
  good.kill();
  await peer.process.output(/"open":false/, 20_000);
  const bad = one.spawn(`(seq 0 5; seq 7 9; sleep 4) | nc ${three.address} 7700`);
  await peer.process.output(/"errors":1,.*"expected":6,"found":7/, 20_000);
  bad.kill();
});
