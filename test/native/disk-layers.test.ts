import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { layersBeneath, sharesBytes } from '../../src/host/disk-layers.js';
import { HostDisks } from '../../src/host/host-disks.js';
import { makeImage, MIB } from './disks.js';

// One image by several names, with devices of this host's kernel: a loop device on it, partitions, a volume.

const attached: string[] = [];
const run = (...[file, ...args]: [string, ...string[]]): string =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

/** A loop device on a file or device; detached at the end of the test, in the order of what lies on what. */
function loop(path: string, ...options: string[]): string {
  const device = run('losetup', '--find', '--show', ...options, path);
  attached.push(device);
  return device;
}

afterEach(() => {
  for (const device of attached.splice(0).reverse()) run('losetup', '--detach', device);
});

function open(path: string, readonly = false): HostDisks {
  const disks = HostDisks.open([{ id: 'root', path, readonly }]);
  onTestFinished(() => disks.close());
  return disks;
}

const inUse = { code: 'DISK_IN_USE' };

describe.runIf(existsSync('/dev/loop-control') && process.getuid?.() === 0)('one image by two names', () => {
  it('by its path and by a loop device: whoever comes second is kept out', async () => {
    const image = makeImage(new Uint8Array(MIB));
    const device = loop(image);
    expect(sharesBytes(image, device)).toBe(true);
    const one = open(image);
    await one.lock();
    await expect(open(device).lock()).rejects.toMatchObject(inUse);
    await one.unlock();
    await open(device).lock();
    await expect(one.lock()).rejects.toMatchObject(inUse);
  });

  it('the other way round as well, and two loop devices; two that only read share it', async () => {
    const image = makeImage(new Uint8Array(MIB));
    const [one, other] = [loop(image), loop(image)];
    const first = open(one);
    await first.lock();
    await expect(open(image).lock()).rejects.toMatchObject(inUse);
    await expect(open(other).lock()).rejects.toMatchObject(inUse);
    await first.unlock();
    await open(one, true).lock();
    await open(image, true).lock();
  });

  it('parts of one image that do not meet are two disks', async () => {
    const image = makeImage(new Uint8Array(4 * MIB));
    const [low, high] = [loop(image, '--sizelimit', '1M'), loop(image, '--offset', '1M')];
    const within = loop(high, '--sizelimit', '1M');
    expect(layersBeneath(within)).toEqual([
      { path: high, start: 0, length: MIB, shared: false },
      { path: image, start: MIB, length: MIB, shared: false },
    ]);
    expect([sharesBytes(low, high), sharesBytes(low, within), sharesBytes(high, within)]).toEqual([false, false, true]);
    await open(low).lock();
    const one = open(high);
    await one.lock();
    await expect(open(within).lock()).rejects.toMatchObject(inUse);
    await expect(open(image).lock()).rejects.toMatchObject(inUse);
  });

  it('one VM cannot have both', () => {
    const image = makeImage(new Uint8Array(MIB));
    const device = loop(image);
    const both = [image, device].map((path, i) => ({ id: `d${i}`, path, readonly: false }));
    expect(() => HostDisks.open(both)).toThrow(`disk d1: ${device} is disk d0 too`);
  });
});

it('a file has nothing beneath it, and shares with what is not there nothing', () => {
  const image = makeImage(new Uint8Array(MIB));
  expect(layersBeneath(image)).toEqual([]);
  expect([sharesBytes(image, image), sharesBytes(image, '/nowhere')]).toEqual([true, false]);
});
