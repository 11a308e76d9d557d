import { describe, expect, it } from 'vitest';
import { giveBackHugePages, WholeBlocks } from '../../../../src/migrate/destination/huge-pages.js';
import type { NativeMemory } from '../../../../src/native.js';

/** Seven blocks and a short one at the end. */
const PAGES = 7 * 512 + 100;

function blocksOf(...extents: [first: number, count: number][]): WholeBlocks {
  const blocks = new WholeBlocks(PAGES);
  for (const extent of extents) blocks.add(Uint32Array.from(extent));
  return blocks;
}

describe('WholeBlocks', () => {
  it('are none where nothing is', () => {
    expect([...blocksOf().runs(8)]).toEqual([]);
  });

  it('are those all of whose pages hold data', () => {
    expect([...blocksOf([0, 511], [512, 512], [1025, 511]).runs(8)]).toEqual([[512, 512]]);
  });

  it('may come in pieces, one piece in several blocks, in several parts', () => {
    const blocks = new WholeBlocks(PAGES);
    blocks.add(Uint32Array.of(10, 300, 310, 800));
    blocks.add(Uint32Array.of(0, 10, 1536, 512));
    expect([...blocks.runs(8)]).toEqual([
      [0, 1024],
      [1536, 512],
    ]);
  });

  it('never are the short one at the end', () => {
    expect([...blocksOf([6 * 512, 612]).runs(8)]).toEqual([[3072, 512]]);
  });

  it.each<[number, [number, number][]]>([
    [1, [0, 1, 2, 3, 5].map((block) => [block * 512, 512])],
    [
      2,
      [
        [0, 1024],
        [1024, 1024],
        [2560, 512],
      ],
    ],
    [
      3,
      [
        [0, 1536],
        [1536, 512],
        [2560, 512],
      ],
    ],
    [
      4,
      [
        [0, 2048],
        [2560, 512],
      ],
    ],
  ])('come in runs of neighbours, %d at most', (most, runs) => {
    expect([...blocksOf([0, 2048], [2560, 512]).runs(most)]).toEqual(runs);
  });

  it('end with RAM when they go that far', () => {
    const blocks = new WholeBlocks(1024);
    blocks.add(Uint32Array.of(0, 1024));
    expect([...blocks.runs(8)]).toEqual([[0, 1024]]);
  });
});

describe('giveBackHugePages', () => {
  const collapsing = (result: (call: number) => boolean = () => true) => {
    const calls: [number, number][] = [];
    const memory = { collapse: (...call: [number, number]) => result(calls.push(call)) };
    return { calls, memory: memory as unknown as NativeMemory };
  };
  const all = () => {
    const blocks = new WholeBlocks(20 * 512);
    blocks.add(Uint32Array.of(0, 20 * 512));
    return blocks;
  };

  it('tries one run after the other, eight blocks at most, in ascending order', async () => {
    const { calls, memory } = collapsing();
    await giveBackHugePages(memory, all(), () => false);
    expect(calls).toEqual([
      [0, 4096],
      [4096, 4096],
      [8192, 2048],
    ]);
  });

  it('goes on where there is no huge page to be had', async () => {
    const { calls, memory } = collapsing((call) => call !== 1);
    await giveBackHugePages(memory, all(), () => false);
    expect(calls).toHaveLength(3);
  });

  it('stops when it is told to: before the first, and between two', async () => {
    const { calls, memory } = collapsing();
    await giveBackHugePages(memory, all(), () => true);
    expect(calls).toEqual([]);
    await giveBackHugePages(memory, all(), () => calls.length === 2);
    expect(calls).toHaveLength(2);
  });

  it('leaves the main thread to others between two calls', async () => {
    const { calls, memory } = collapsing();
    const done = giveBackHugePages(memory, all(), () => false);
    expect(calls).toHaveLength(1);
    await done;
  });
});
