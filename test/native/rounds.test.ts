/** Pages written before the hand-over, and faults behind it, on RAM and a userfaultfd of the kernel. */
import { describe, expect, it, onTestFinished } from 'vitest';
import { PAGE_SIZE } from '../../src/memory/page-size.js';
import { copyAll } from '../../src/migrate/destination/pages/copy-all.js';
import { RoundWriter } from '../../src/migrate/destination/pages/round-writer.js';
import { registerAfterRounds, Rounds } from '../../src/migrate/destination/rounds.js';
import { native, type Backing } from '../../src/native.js';
import { next, readable, startWorker } from './threads.js';

/** Two blocks: the kernel may give a huge page for each. */
const PAGES = 1024;
/** Has come, and counts: of one block, and the first pages of the other. */
const HELD = Uint32Array.of(0, 512, 520, 2);
/** Has come with another content, and will come again; has never come. */
const LACKING = Uint32Array.of(522, 1, 1000, 1);
/** Has come, and holds nothing any more. */
const DROPPED = 525;
/** Was told to be zero after it had a content, and counts as such; and one that never had any. */
const [ZEROED, ZERO] = [3, 4];

const filled = (value: number, pages = 1) => new Uint8Array(pages * PAGE_SIZE).fill(value);

function setUp(backing: Backing) {
  const memory = new native.GuestMemory(PAGES * PAGE_SIZE, backing);
  const userfaultfd = new native.Userfaultfd(memory);
  onTestFinished(() => {
    userfaultfd.close();
    memory.close();
  });
  const rounds = new Rounds(PAGES);
  const writer = new RoundWriter(memory, rounds);
  for (let page = 0; page < 512; page++) if (page !== ZERO) writer.install(page, 1, filled(1), 0);
  writer.install(520, 6, filled(2, 6), 0);
  writer.install(100, 2, filled(7, 2), 0); // again
  writer.zero(ZEROED, 2);
  registerAfterRounds(memory, userfaultfd, rounds.end(HELD, LACKING));
  const first = (page: number) => {
    const byte = new Uint8Array(1);
    memory.read(page * PAGE_SIZE, byte);
    return byte[0];
  };
  return { memory, userfaultfd, first };
}

describe.each(['anonymous', 'memfd'] as const)('RAM behind rounds, %s', (backing) => {
  it('has what came last, also where it was told to be zero, and nobody is asked for it', () => {
    const { userfaultfd, first } = setUp(backing);
    expect([0, 99, 100, 101, 511, 520, 521].map(first)).toEqual([1, 1, 7, 7, 1, 2, 2]);
    expect(userfaultfd.readFaults(new Uint32Array(8))).toBe(0);
  });

  it.each([
    ['is to come again', 522],
    ['has never come', 1000],
    ['has come and counts no more', DROPPED],
    ['has come, was told to be zero, and counts', ZEROED],
  ])('has nothing where a page %s: who touches it faults, and has what is put there', async (_, page) => {
    const { memory, userfaultfd } = setUp(backing);
    const reader = startWorker(
      `const memory = new native.GuestMemory(null, data.handle);
       const got = new Uint8Array(1);
       memory.read(data.page * 4096, got);
       post(got[0]);`,
      { handle: memory.handle, page },
    );
    await readable(userfaultfd.fd);
    const faults = new Uint32Array(4);
    expect([userfaultfd.readFaults(faults), faults[0]]).toEqual([1, page]);
    expect(copyAll(userfaultfd, page, 1, filled(9), 0)).toBe(1);
    expect(await next(reader)).toBe(9);
  });

  it('gives huge pages back also to a block of which a part came behind them', () => {
    const { memory, userfaultfd, first } = setUp(backing);
    copyAll(userfaultfd, 522, 1, filled(9), 0);
    userfaultfd.unregister(0, PAGES);
    memory.collapse(0, PAGES);
    expect([0, ZEROED, ZERO, 100, 511, 520, 522, DROPPED, 1000].map(first)).toEqual([1, 0, 0, 7, 1, 2, 9, 0, 0]);
  });
});
