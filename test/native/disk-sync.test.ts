/** Writing a disk back, also to storage that does not answer. */
import { describe, expect, it } from 'vitest';
import { DISK_SYNC } from '../../src/native.js';
import { buildHangingStorage, WAITS } from '../support/hanging-storage.js';
import { KIB, makeImage, openDisk, pattern } from './disks.js';
import { PATIENCE_MS, runNode } from './threads.js';

describe('a sync', () => {
  it('ends, and those before it with it', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    const numbers = [disk.begin(DISK_SYNC), disk.begin(DISK_SYNC), disk.begin(DISK_SYNC)];
    expect(numbers).toEqual([1, 2, 3]);
    expect(disk.ended(DISK_SYNC, 3, PATIENCE_MS)).toBe(true);
    expect(numbers.map((number) => disk.ended(DISK_SYNC, number, 0))).toEqual([true, true, true]);
    expect(disk.ended(DISK_SYNC, 4, 10)).toBe(false); // nobody asked for it
  });

  it('is none after close()', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    disk.begin(DISK_SYNC);
    expect(disk.close(PATIENCE_MS)).toBe(true);
    expect(() => disk.begin(DISK_SYNC)).toThrow();
  });

  it('that does not end keeps nobody who does not wait for it, nor the process', async () => {
    const storage = buildHangingStorage();
    storage.sync.hang();
    const code = `
      const { existsSync, rmSync, writeFileSync } = require('node:fs');
      const [hangs, DISK_SYNC] = [${JSON.stringify(storage.sync.file)}, ${DISK_SYNC}];
      const disk = new native.Disk(${JSON.stringify(makeImage(pattern(KIB)))}, false);
      const first = disk.begin(DISK_SYNC);
      const second = disk.begin(DISK_SYNC);
      const before = [disk.ended(DISK_SYNC, first, 50), disk.ended(DISK_SYNC, second, 0)];
      rmSync(hangs);
      const after = [disk.ended(DISK_SYNC, second, 5000), disk.ended(DISK_SYNC, first, 0)];
      rmSync(hangs + '${WAITS}', { force: true });
      writeFileSync(hangs, '');
      disk.begin(DISK_SYNC);
      while (!existsSync(hangs + '${WAITS}')) disk.ended(DISK_SYNC, first, 1); // a sync that has not begun is not waited for
      console.log(String(before), String(after), disk.close(50));
      process.exit(0);`;
    const variables = Object.entries(storage.env).map(([name, value]) => `${name}=${value}`);
    const { code: exit, stdout } = await runNode(code, [], ['env', ...variables]);
    expect([exit, stdout]).toEqual([0, 'false,false true,true false\n']);
  });
});
