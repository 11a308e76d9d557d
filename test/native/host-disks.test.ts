import {
  closeSync,
  copyFileSync,
  openSync,
  readdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { DiskConfig } from '../../src/configure/disk.js';
import { Deadline } from '../../src/basics/deadline.js';
import { DISK_READ, DISK_WRITE, native, type NativeDisk } from '../../src/native.js';
import { SAMPLE_BLOCKS_MAX, type DiskSample } from '../../src/host/disk-sample.js';
import type { HostDiskConfig } from '../../src/host/disk-types.js';
import { HostDisks } from '../../src/host/host-disks.js';
import { KIB, MIB, lock, makeDirectory, makeImage, makeMemory, openDisk, pattern, run } from './disks.js';

const handlesOf = (disks: HostDisks) => disks.open.map(({ disk }) => disk.handle);
const disk = (id: string, path: string, readonly = false): DiskConfig => ({ id, path, readonly });

function open(...configs: HostDiskConfig[]): HostDisks {
  const disks = HostDisks.open(configs);
  onTestFinished(() => disks.close());
  return disks;
}

const NEVER = new AbortController().signal;
const soon = () => Deadline.in(5000);
const openFds = () => readdirSync('/proc/self/fd').length;

describe('opening', () => {
  it('describes them in order, with handles for other threads', () => {
    const [a, b] = [makeImage(pattern(4 * KIB)), makeImage(pattern(8 * KIB))];
    const disks = open(disk('root', a), disk('data', b, true));
    expect(disks.describe()).toEqual([
      { id: 'root', path: a, readonly: false, bytes: 4 * KIB },
      { id: 'data', path: b, readonly: true, bytes: 8 * KIB },
    ]);
    expect(handlesOf(disks).map((handle) => new native.Disk(null, handle).bytes)).toEqual([4 * KIB, 8 * KIB]);
  });

  it('none at all is fine', async () => {
    const disks = open();
    await disks.lock();
    await disks.presync(NEVER);
    await disks.dropCaches(soon());
    expect([disks.open, disks.describe()]).toEqual([[], []]);
  });

  it.each([
    ['what is not there', () => '/nowhere/disk.img', 'BAD_CONFIG', 'does not exist'],
    ['a directory', () => makeDirectory(), 'BAD_CONFIG', 'is a directory'],
    ['a device that is no disk', () => '/dev/null', 'BAD_CONFIG', 'is neither a file nor a block device'],
    ['an empty file', () => makeImage(new Uint8Array(0)), 'BAD_CONFIG', 'has 0 bytes; a disk is whole sectors'],
    ['half a sector', () => makeImage(pattern(KIB + 256)), 'BAD_CONFIG', 'has 1280 bytes; a disk is whole sectors'],
  ])('%s is refused, by id and path, and nothing stays open', (_, make, code, why) => {
    const fine = makeImage(pattern(KIB));
    const path = make();
    const before = openFds();
    const attempt = () => HostDisks.open([disk('root', fine), disk('data', path)]);
    expect(attempt).toThrow(expect.objectContaining({ code }));
    expect(attempt).toThrow(`disk data: ${path} ${why}`);
    expect(openFds()).toBe(before);
  });

  it('refuses one file as two disks, unless both only read', () => {
    const path = makeImage(pattern(KIB));
    symlinkSync(path, `${path}.link`);
    const other = `${path}.link`;
    open(disk('a', path, true), disk('b', other, true));
    for (const [first, second] of [
      [false, false],
      [true, false],
      [false, true],
    ] as const) {
      const attempt = () => HostDisks.open([disk('a', path, first), disk('b', other, second)]);
      expect(attempt).toThrow(`disk b: ${other} is disk a too`);
    }
  });
});

describe('locks', () => {
  it('all or none', async () => {
    const [a, b] = [makeImage(pattern(KIB)), makeImage(pattern(KIB))];
    const holder = openDisk(b);
    lock(holder);
    const disks = open(disk('a', a), disk('b', b));
    await expect(disks.lock()).rejects.toMatchObject({
      code: 'DISK_IN_USE',
      message: expect.stringContaining(`disk b: ${b} is in use by another process, here or on another host`),
    });
    expect(lock(openDisk(a))).toBe(true); // closed, and so unlocked, at the end only
  });

  it('can be given up, and come back once the other side lets go', async () => {
    const path = makeImage(pattern(KIB));
    const [source, destination] = [open(disk('a', path)), open(disk('a', path))];
    await source.lock();
    await source.lock();
    await expect(destination.relock(20)).rejects.toMatchObject({ code: 'DISK_IN_USE' });
    const coming = destination.relock(10_000);
    await delay(30);
    await source.unlock();
    await coming;
    await expect(source.relock(0)).rejects.toMatchObject({ code: 'DISK_IN_USE' });
    destination.close();
    await source.relock(0);
  });

  it('read-only disks share', async () => {
    const path = makeImage(pattern(KIB));
    await open(disk('a', path, true)).lock();
    await open(disk('a', path, true)).lock();
    await expect(open(disk('a', path)).lock()).rejects.toMatchObject({ code: 'DISK_IN_USE' });
  });

  it('name the VM of this host that has the disk', async () => {
    const path = makeImage(pattern(KIB));
    lock(openDisk(path));
    const disks = HostDisks.open([disk('root', path)], async (asked) => (asked === path ? 'web' : undefined));
    onTestFinished(() => disks.close());
    await expect(disks.lock()).rejects.toMatchObject({
      code: 'DISK_IN_USE',
      message: `disk root: ${path} is in use by the VM web of this host: stop that first`,
      facts: [{ kind: 'disk-used', vm: 'web' }],
    });
  });
});

describe('against the disk of a VM that comes', () => {
  const wanted = { id: 'root', path: '/there', readonly: false, bytes: 4 * KIB };
  const coming = (path: string, unproven = false): HostDisks =>
    open({ ...disk('root', path), coming: { bytes: wanted.bytes, unproven } });
  const texts = async (disks: HostDisks, sameHost = true): Promise<string[]> =>
    (await disks.objections([wanted], sameHost, NEVER)).map(({ text }) => text);

  it.each([false, true])('the lock that the source has shows that it is the one (read-only: %s)', async (readonly) => {
    const path = makeImage(pattern(4 * KIB));
    const here = coming(path);
    expect(await texts(here)).toEqual([
      expect.stringMatching(/^disk root: .* is another one than the disk that the VM has/),
    ]);
    expect(await texts(here, false)).toEqual([
      expect.stringMatching(/ is not locked here, where the source has a lock on it/),
    ]);
    await open(disk('root', path, readonly)).lock();
    expect([await texts(here), await texts(here, false)]).toEqual([[], []]);
  });

  it('a copy is refused, unless it is said to be the one', async () => {
    const [path, copy] = [makeImage(pattern(4 * KIB)), makeImage(pattern(4 * KIB))];
    await open(disk('root', path)).lock();
    expect(await texts(coming(copy))).toHaveLength(1);
    expect(await texts(coming(copy, true))).toEqual([]);
    writeFileSync(copy, 'QFI\xfb', { encoding: 'latin1', flag: 'r+' });
    expect(await texts(coming(copy, true))).toEqual([expect.stringContaining('in the format qcow2')]);
  });

  it('may have grown, and is told of as the guest knows it; it may not be smaller', async () => {
    const [path, small] = [makeImage(pattern(16 * KIB)), makeImage(pattern(KIB))];
    await open(disk('root', path)).lock();
    const here = coming(path);
    expect(await texts(here)).toEqual([]);
    expect(here.describe()).toEqual([{ ...disk('root', path), bytes: 4 * KIB }]);
    expect(await texts(coming(small, true))).toEqual([
      `disk root has 4096 bytes for its guest, ${small} has 1024 here: give the one that both hosts share`,
    ]);
  });

  it('where there is none, nobody is told to make one', () => {
    const missing = () => coming('/nowhere/disk.img');
    expect(missing).toThrow('does not exist on this host: say where the disk is here that both hosts share');
    expect(missing).not.toThrow('truncate');
  });
});

describe('the content of a disk that moves', () => {
  /** Of the source, as presync() and takeSamples() have it. */
  const sampled = async (path: string, ...writes: number[]): Promise<DiskSample[]> => {
    const source = open(disk('a', path));
    await source.presync(NEVER);
    const [handle] = handlesOf(source);
    for (const at of writes) run(new native.Disk(null, handle!), DISK_WRITE, makeMemory(), [[0, 512]], at);
    return source.takeSamples();
  };
  const check = (path: string, samples: DiskSample[], bytes?: number): Promise<void> => {
    const coming = bytes === undefined ? {} : { coming: { bytes, unproven: true } };
    return open({ ...disk('a', path), ...coming }).requireSamples(samples, Deadline.in(5000));
  };
  const differs = { code: 'MIGRATION_FAILED', message: expect.stringContaining('another disk, or the storage shows') };

  it('is the same on the same disk, and told by few blocks', async () => {
    const path = makeImage(pattern(8 * MIB));
    const samples = await sampled(path, 512);
    expect(samples).toEqual([{ id: 'a', offsets: expect.arrayContaining([0]), hash: expect.any(Uint8Array) }]);
    expect(samples[0]!.offsets.length).toBeGreaterThan(20);
    expect(samples[0]!.offsets.length).toBeLessThan(SAMPLE_BLOCKS_MAX);
    await check(path, samples);
  });

  it('another disk is found out, also by the data in one that is nearly empty', async () => {
    const [path, other] = [makeImage(pattern(MIB)), makeImage(pattern(MIB, 2))];
    await expect(check(other, await sampled(path))).rejects.toMatchObject(differs);
    const [sparse, empty] = [makeImage(new Uint8Array(0)), makeImage(new Uint8Array(0))];
    for (const file of [sparse, empty]) truncateSync(file, 64 * MIB);
    const fd = openSync(sparse, 'r+');
    writeSync(fd, pattern(4 * KIB), 0, 4 * KIB, 60 * MIB);
    closeSync(fd);
    await expect(check(empty, await sampled(sparse))).rejects.toMatchObject(differs);
  });

  it('a copy is found out by what the guest wrote last', async () => {
    const path = makeImage(pattern(16 * MIB));
    const copy = `${path}.copy`;
    copyFileSync(path, copy);
    const samples = await sampled(path, 10 * MIB + 512, 15 * MIB);
    expect(samples[0]!.offsets).toEqual(expect.arrayContaining([10 * MIB, 15 * MIB]));
    await expect(check(copy, samples)).rejects.toMatchObject(differs);
    await check(path, samples);
  });

  it('a disk is held against what it is for the guest, and no host is asked for more than it has', async () => {
    const path = makeImage(pattern(16 * KIB));
    const samples = await sampled(path);
    await check(path, samples, 16 * KIB);
    const beyond = [{ ...samples[0]!, offsets: [16 * KIB] }];
    await expect(check(path, beyond)).rejects.toMatchObject(differs);
    await expect(check(path, [{ ...samples[0]!, offsets: [512] }])).rejects.toMatchObject(differs);
    await check(path, [{ ...samples[0]!, id: 'of another' }]);
    expect(await sampled(makeImage(pattern(KIB)))).toMatchObject([{ offsets: [] }]);
  });
});

describe('a move', () => {
  it('writes back while the guest runs, and reads anew where it comes to', async () => {
    const path = makeImage(pattern(8 * KIB));
    const [source, destination] = [open(disk('a', path)), open(disk('a', path))];
    await source.presync(NEVER);
    await source.unlock();
    await destination.relock(0);
    await destination.dropCaches(soon());
    const memory = makeMemory();
    expect(run(new native.Disk(null, handlesOf(destination)[0]!), DISK_READ, memory, [[0, 8192]], 0)).toBe(0);
  });

  it('is cancelled, or has a limit, where the disk is not written back in time', async () => {
    vi.spyOn(native, 'Disk').mockImplementation(function () {
      return { bytes: KIB, begin: () => 1, ended: () => false, close: () => true } as unknown as NativeDisk;
    });
    onTestFinished(() => void vi.restoreAllMocks());
    const disks = open(disk('a', makeImage(pattern(KIB))));
    const why = new Error('cancelled');
    await expect(disks.presync(AbortSignal.abort(why))).rejects.toBe(why);
    await expect(disks.presync(NEVER, 20)).rejects.toMatchObject({
      code: 'MIGRATION_FAILED',
      message: expect.stringMatching(/^disk a: .* is not written back: see whether its storage answers/),
    });
  });

  it('does not sync what is only read', async () => {
    await open(disk('a', makeImage(pattern(KIB)), true)).presync(NEVER);
  });
});
