import { constants as os } from 'node:os';
import { appendFileSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  DISK_DISCARD,
  DISK_DROP_CACHE,
  DISK_FLUSH,
  DISK_READ,
  DISK_WRITE,
  DISK_WRITE_THROUGH,
  DISK_WRITE_ZEROES,
  DISK_WRITE_ZEROES_UNMAP,
  native,
} from '../../src/native.js';
import { finish, KIB, makeDirectory, makeImage, makeMemory, MIB, openDisk, pattern } from './disks.js';
import { call, readMemory, run, submit, sync, type Segments } from './disks.js';
import { next, readable, startWorker } from './threads.js';

const { EIO, EBADF } = os.errno;

describe('opening', () => {
  it('tells the size', () => {
    const disk = openDisk(makeImage(pattern(12 * KIB)));
    expect(disk.bytes).toBe(12 * KIB);
  });

  it('follows links', () => {
    const path = makeImage(pattern(KIB));
    symlinkSync(path, `${path}.link`);
    expect(openDisk(`${path}.link`).bytes).toBe(KIB);
  });

  it('says what cannot be a disk', () => {
    const directory = makeDirectory();
    execFileSync('mkfifo', [join(directory, 'fifo')]);
    mkdirSync(join(directory, 'directory'));
    const code = (path: string) => {
      try {
        new native.Disk(path, true);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
      throw new Error('it was opened');
    };
    expect(code(join(directory, 'missing'))).toBe('ENOENT');
    expect(code(join(directory, 'directory'))).toBe('EISDIR');
    expect(code(join(directory, 'fifo'))).toBe('EINVAL');
    expect(code('/dev/null')).toBe('EINVAL');
    expect(() => new native.Disk('/dev/null', true)).toThrow('/dev/null is neither a regular file nor a block device');
  });
});

describe('transfers', () => {
  it('reads into segments of any length', () => {
    const content = pattern(64 * KIB);
    const disk = openDisk(makeImage(content));
    const memory = makeMemory();
    const segments: Segments = [
      [100, 1],
      [40 * KIB + 3, 511],
      [5000, 3584],
      [200 * KIB, 4096],
    ];
    expect(run(disk, DISK_READ, memory, segments, 512)).toBe(0);
    let at = 512;
    for (const [ramOffset, length] of segments) {
      expect(readMemory(memory, ramOffset, length)).toEqual(content.slice(at, at + length));
      at += length;
    }
    expect(readMemory(memory, 101, 1)).toEqual(Uint8Array.of(0));
  });

  it('writes from segments, and nothing around them', () => {
    const path = makeImage(new Uint8Array(16 * KIB));
    const disk = openDisk(path);
    const memory = makeMemory();
    memory.write(0, pattern(8 * KIB));
    const segments: Segments = [
      [4096, 700],
      [17, 324],
    ];
    expect(run(disk, DISK_WRITE, memory, segments, 1024)).toBe(0);
    const expected = new Uint8Array(16 * KIB);
    expected.set(readMemory(memory, 4096, 700), 1024);
    expected.set(readMemory(memory, 17, 324), 1724);
    expect(new Uint8Array(readFileSync(path))).toEqual(expected);
    expect(run(disk, DISK_WRITE_THROUGH, memory, [[4096, 512]], 15 * KIB)).toBe(0);
    expect(new Uint8Array(readFileSync(path).subarray(15 * KIB, 15 * KIB + 512))).toEqual(
      readMemory(memory, 4096, 512),
    );
  });

  it('takes more segments than one system call', () => {
    const content = pattern(3000 * 16);
    const disk = openDisk(makeImage(content));
    const memory = makeMemory();
    const segments: Segments = Array.from({ length: 3000 }, (_, i) => [i * 32, 16]);
    expect(run(disk, DISK_READ, memory, segments, 0)).toBe(0);
    for (const i of [0, 1023, 1024, 1025, 2999]) {
      expect(readMemory(memory, i * 32, 16)).toEqual(content.slice(i * 16, i * 16 + 16));
    }
  });

  it('does nothing for no segments, up to the very end', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    const memory = makeMemory();
    expect(run(disk, DISK_READ, memory, [], KIB)).toBe(0);
    expect(run(disk, DISK_READ, memory, [[MIB - 512, 512]], 512)).toBe(0);
    expect(readMemory(memory, MIB - 512, 512)).toEqual(pattern(KIB).slice(512));
  });

  it('flushes', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    expect(run(disk, DISK_FLUSH, makeMemory(), [], 0)).toBe(0);
    sync(disk);
    call(disk, DISK_DROP_CACHE);
  });

  it('does many at once, each whole', async () => {
    const content = pattern(MIB);
    const disk = openDisk(makeImage(content));
    const memory = makeMemory(2 * MIB);
    for (let id = 0; id < 256; id++) submit(disk, id, DISK_READ, memory, [[id * 8192, 4096]], ((id * 37) % 256) * 4096);
    await readable(disk.fd);
    const ended = finish(disk);
    expect(ended.size).toBe(256);
    expect([...ended.values()].every((error) => error === 0)).toBe(true);
    for (let id = 0; id < 256; id++) {
      const from = ((id * 37) % 256) * 4096;
      expect(readMemory(memory, id * 8192, 4096)).toEqual(content.slice(from, from + 4096));
    }
  });
});

describe('completions', () => {
  it('are told by the eventfd until they are taken', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    const memory = makeMemory();
    const isReadable = () => native.poll(Int32Array.of(disk.fd, 1, 0), 1, 0) === 1;
    expect(isReadable()).toBe(false);
    for (let id = 1; id <= 3; id++) submit(disk, id, DISK_FLUSH, memory, [], 0);
    expect(disk.waitIdle(10_000)).toBe(true);
    const into = new Int32Array(5); // two pairs and a half
    expect(disk.completions(into)).toBe(2);
    expect(isReadable()).toBe(true);
    expect(disk.completions(into)).toBe(1);
    expect(isReadable()).toBe(false);
    expect(disk.completions(into)).toBe(0);
  });

  it('come in any order: a request that waits for a page holds up no other', () => {
    const content = pattern(64 * KIB);
    const disk = openDisk(makeImage(content));
    const memory = makeMemory();
    const faults = new native.Userfaultfd(memory);
    try {
      faults.register(3, 1, false);
      submit(disk, 1, DISK_READ, memory, [[3 * 4096, 4096]], 0);
      expect(native.poll(Int32Array.of(faults.fd, 1, 0), 1, 10_000)).toBe(1);
      submit(disk, 2, DISK_READ, memory, [[8 * 4096, 4096]], 4096);
      expect(native.poll(Int32Array.of(disk.fd, 1, 0), 1, 10_000)).toBe(1);
      const into = new Int32Array(4);
      expect(disk.completions(into)).toBe(1);
      expect([...into.subarray(0, 2)]).toEqual([2, 0]);
      expect(disk.waitIdle(10)).toBe(false);
      faults.zero(3, 1);
      expect(finish(disk)).toEqual(new Map([[1, 0]]));
      expect(readMemory(memory, 3 * 4096, 4096)).toEqual(content.slice(0, 4096));
    } finally {
      faults.close();
    }
  });

  it('are for whoever shares the disk by its handle', async () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    const memory = makeMemory();
    const worker = startWorker(
      `const disk = new native.Disk(null, data.disk), memory = new native.GuestMemory(null, data.memory);
       disk.submit(7, 0, memory, Float64Array.of(64, 512), 1, 512, 512);
       native.poll(Int32Array.of(disk.fd, 1, 0), 1, 5000);
       const into = new Int32Array(4);
       const count = disk.completions(into);
       post([count, into[0], into[1]]);`,
      { disk: disk.handle, memory: memory.handle },
    );
    expect(await next(worker)).toEqual([1, 7, 0]);
    expect(readMemory(memory, 64, 512)).toEqual(pattern(KIB).slice(512));
  });
});

describe('errors', () => {
  it('a file that became too short', () => {
    const path = makeImage(pattern(8 * KIB));
    const disk = openDisk(path);
    truncateSync(path, 1000);
    expect(run(disk, DISK_READ, makeMemory(), [[0, 4096]], 0)).toBe(EIO);
  });

  it('writing to a read-only disk', () => {
    const path = makeImage(pattern(8 * KIB));
    const disk = openDisk(path, true);
    const memory = makeMemory();
    for (const kind of [DISK_WRITE, DISK_WRITE_THROUGH]) expect(run(disk, kind, memory, [[0, 512]], 0)).toBe(EBADF);
    for (const kind of [DISK_DISCARD, DISK_WRITE_ZEROES, DISK_WRITE_ZEROES_UNMAP]) {
      expect(run(disk, kind, memory, [], 0, 4096)).toBe(EBADF);
    }
    expect(new Uint8Array(readFileSync(path))).toEqual(pattern(8 * KIB));
  });

  it('one that failed does not stop the next', () => {
    const path = makeImage(pattern(8 * KIB));
    const disk = openDisk(path);
    const memory = makeMemory();
    truncateSync(path, 0);
    expect(run(disk, DISK_READ, memory, [[0, 512]], 0)).toBe(EIO);
    expect(run(disk, DISK_WRITE, memory, [[0, 512]], 0)).toBe(0);
    expect(run(disk, DISK_READ, memory, [[0, 512]], 0)).toBe(0);
  });

  it('what is outside of the disk or of RAM reaches neither', () => {
    const disk = openDisk(makeImage(pattern(8 * KIB)));
    const memory = makeMemory();
    const attempt = (segments: number[], count: number, offset: number, length: number, kind = DISK_READ) => {
      return () => disk.submit(1, kind, memory, Float64Array.from(segments), count, offset, length);
    };
    expect(attempt([0, 512], 1, 8 * KIB, 512)).toThrow('bytes outside of the disk');
    expect(attempt([0, 1024], 1, 8 * KIB - 512, 1024)).toThrow('bytes outside of the disk');
    expect(attempt([], 0, 0, 8 * KIB + 1, DISK_DISCARD)).toThrow('bytes outside of the disk');
    expect(attempt([], 0, 2 ** 53 - 1, 2 ** 53 - 1, DISK_DISCARD)).toThrow('bytes outside of the disk');
    expect(attempt([MIB - 511, 512], 1, 0, 512)).toThrow('segment outside of guest RAM');
    expect(attempt([2 ** 53 - 1, 512], 1, 0, 512)).toThrow('segment outside of guest RAM');
    expect(attempt([-1, 512], 1, 0, 512)).toThrow('segments must be pairs of whole numbers');
    expect(attempt([NaN, 512], 1, 0, 512)).toThrow('segments must be pairs of whole numbers');
    expect(attempt([0.5, 512], 1, 0, 512)).toThrow('segments must be pairs of whole numbers');
    expect(attempt([0, 512], 1, 0, 511)).toThrow('length is not that of the segments');
    expect(attempt([0, 512], 2, 0, 1024)).toThrow('segments are shorter than count');
    expect(attempt([0, 512], 1, 0, 512, 7)).toThrow(RangeError);
    expect(attempt([0, 512], 1, 0, 512, -1)).toThrow(RangeError);
    expect(finish(disk).size).toBe(0);
  });
});

describe('discard and zeroes', () => {
  const blocks = (path: string) => statSync(path).blocks * 512;

  it('discard gives the blocks back', () => {
    const path = makeImage(pattern(MIB));
    const disk = openDisk(path);
    sync(disk);
    const before = blocks(path);
    expect(before).toBeGreaterThanOrEqual(MIB);
    expect(run(disk, DISK_DISCARD, makeMemory(), [], 64 * KIB, 512 * KIB)).toBe(0);
    expect(blocks(path)).toBe(before - 512 * KIB);
    const content = new Uint8Array(readFileSync(path));
    expect(content.length).toBe(MIB);
    expect(content.slice(0, 64 * KIB)).toEqual(pattern(MIB).slice(0, 64 * KIB));
    expect(content.slice(576 * KIB)).toEqual(pattern(MIB).slice(576 * KIB));
  });

  it.each([
    ['write zeroes', DISK_WRITE_ZEROES],
    ['write zeroes, unmapping', DISK_WRITE_ZEROES_UNMAP],
  ])('%s: exactly the range', (_, kind) => {
    const path = makeImage(pattern(MIB));
    const disk = openDisk(path);
    expect(run(disk, kind, makeMemory(), [], 512, 300 * KIB)).toBe(0);
    expect(run(disk, kind, makeMemory(), [], 700 * KIB, 0)).toBe(0);
    const expected = pattern(MIB).fill(0, 512, 512 + 300 * KIB);
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
  });

  it('a discarded disk keeps its size', () => {
    const path = makeImage(pattern(64 * KIB));
    expect(run(openDisk(path), DISK_DISCARD, makeMemory(), [], 0, 64 * KIB)).toBe(0);
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
    expect(statSync(path).size).toBe(64 * KIB);
  });
});

describe('the cache', () => {
  it('is not what is read after dropCache()', () => {
    const path = makeImage(pattern(8 * KIB));
    const disk = openDisk(path);
    const memory = makeMemory();
    expect(run(disk, DISK_READ, memory, [[0, 8192]], 0)).toBe(0);
    call(disk, DISK_DROP_CACHE);
    expect(cachedPages(path)).toBe(0);
    writeFileSync(path, pattern(8 * KIB, 99));
    appendFileSync(path, 'grown');
    expect(run(disk, DISK_READ, memory, [[0, 8192]], 0)).toBe(0);
    expect(readMemory(memory, 0, 8192)).toEqual(pattern(8 * KIB, 99));
  });
});

/** Pages of the file in the page cache, as mincore(2) counts them. */
function cachedPages(path: string): number {
  const code = `
import ctypes, mmap, os, sys
f = open(sys.argv[1], 'r+b')
m = mmap.mmap(f.fileno(), 0)
pages = (len(m) + 4095) // 4096
v = (ctypes.c_ubyte * pages)()
a = ctypes.addressof(ctypes.c_char.from_buffer(m))
assert ctypes.CDLL(None).mincore(ctypes.c_void_p(a), ctypes.c_size_t(len(m)), v) == 0
print(sum(b & 1 for b in v))`;
  return Number(execFileSync('python3', ['-c', code, path]).toString());
}
