/** Writing a disk back, also to storage that does not answer. */
import { describe, expect, it } from 'vitest';
import { buildHangingSync, WAITS } from '../support/hanging-sync.js';
import { KIB, makeImage, openDisk, pattern } from './disks.js';
import { PATIENCE_MS, runNode } from './threads.js';

describe('a sync', () => {
  it('ends, and those before it with it', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    const numbers = [disk.beginSync(), disk.beginSync(), disk.beginSync()];
    expect(numbers).toEqual([1, 2, 3]);
    expect(disk.synced(3, PATIENCE_MS)).toBe(true);
    expect(numbers.map((number) => disk.synced(number, 0))).toEqual([true, true, true]);
    expect(disk.synced(4, 10)).toBe(false); // nobody asked for it
  });

  it('is none after close()', () => {
    const disk = openDisk(makeImage(pattern(KIB)));
    disk.beginSync();
    expect(disk.close(PATIENCE_MS)).toBe(true);
    expect(() => disk.beginSync()).toThrow();
  });

  it('that does not end keeps nobody who does not wait for it, nor the process', async () => {
    const storage = buildHangingSync();
    storage.hang();
    const code = `
      const { existsSync, rmSync, writeFileSync } = require('node:fs');
      const hangs = process.env.HANGING_SYNC;
      const disk = new native.Disk(${JSON.stringify(makeImage(pattern(KIB)))}, false);
      const first = disk.beginSync();
      const second = disk.beginSync();
      const before = [disk.synced(first, 50), disk.synced(second, 0)];
      rmSync(hangs);
      const after = [disk.synced(second, 5000), disk.synced(first, 0)];
      rmSync(hangs + '${WAITS}', { force: true });
      writeFileSync(hangs, '');
      disk.beginSync();
      while (!existsSync(hangs + '${WAITS}')) disk.synced(first, 1); // a sync that has not begun is not waited for
      console.log(String(before), String(after), disk.close(50));
      process.exit(0);`;
    const variables = Object.entries(storage.env).map(([name, value]) => `${name}=${value}`);
    const { code: exit, stdout } = await runNode(code, [], ['env', ...variables]);
    expect([exit, stdout]).toEqual([0, 'false,false true,true false\n']);
  });
});
