import { describe, expect, it } from 'vitest';
import { BLOCK_PAGES } from '../../../../src/memory/page-size.js';
import { SourcePages } from '../../../../src/memory/page-states.js';
import { BlockRelease } from '../../../../src/migrate/source/release.js';
import type { NativeMemory } from '../../../../src/native.js';

/** Two blocks and a short one at the end. */
const PAGES = 2 * 512 + 100;

interface Setting {
  blocks: BlockRelease;
  released: [first: number, count: number][];
  /** The same blocks, as another worker has them. */
  attach(): BlockRelease;
}

function setUp(pages = PAGES): Setting {
  const released: [number, number][] = [];
  const memory = { release: (first: number, count: number) => released.push([first, count]) };
  const states = new SourcePages(pages);
  const create = (buffer?: SharedArrayBuffer) => new BlockRelease(memory as unknown as NativeMemory, states, buffer);
  const blocks = create();
  return { blocks, released, attach: () => create(blocks.buffer) };
}

describe('BlockRelease', () => {
  it('gives a block back, whole, with the last of its pages', () => {
    const { blocks, released } = setUp();
    expect(BLOCK_PAGES).toBe(512);
    blocks.offer(0, 512);
    expect(blocks.acknowledged(0, 64)).toBe(0);
    expect(blocks.acknowledged(65, 447)).toBe(0);
    expect(released).toEqual([]);
    expect(blocks.acknowledged(64, 1)).toBe(512);
    expect(released).toEqual([[0, 512]]);
  });

  it('counts pages that held data, not those that go with them', () => {
    const { blocks, released } = setUp();
    blocks.offer(3, 2);
    blocks.offer(500, 1);
    expect(blocks.acknowledged(500, 1)).toBe(0);
    expect(blocks.acknowledged(3, 2)).toBe(3);
    expect(released).toEqual([[0, 512]]);
  });

  it('does not go beyond the end of a RAM that ends within a block', () => {
    const { blocks, released } = setUp();
    blocks.offer(1024, 100);
    expect(blocks.acknowledged(1024, 99)).toBe(0);
    expect(blocks.acknowledged(1123, 1)).toBe(100);
    expect(released).toEqual([[1024, 100]]);
  });

  it.each([1, 511, 512, 513, 1024])('knows a RAM of %d pages', (pages) => {
    const { blocks, released } = setUp(pages);
    blocks.offer(0, pages);
    expect(blocks.acknowledged(0, pages)).toBe(pages);
    expect(released.reduce((sum, [, count]) => sum + count, 0)).toBe(pages);
    expect(released.every(([first, count], i) => first === i * 512 && count <= 512)).toBe(true);
  });

  it('takes an extent apart at the borders of blocks', () => {
    const { blocks, released } = setUp();
    blocks.offer(510, 600);
    expect(blocks.acknowledged(511, 513)).toBe(512);
    expect(released).toEqual([[512, 512]]);
    expect(blocks.acknowledged(1024, 86)).toBe(86);
    expect(blocks.acknowledged(510, 1)).toBe(2);
    expect(released).toEqual([
      [512, 512],
      [1024, 100],
      [0, 512],
    ]);
  });

  it('lets the worker that brings the last page give the block back, and no other', () => {
    const { blocks, released, attach } = setUp();
    const other = attach();
    blocks.offer(0, 100);
    other.offer(200, 100);
    expect(other.acknowledged(0, 100)).toBe(0);
    expect(blocks.acknowledged(200, 99)).toBe(0);
    expect(other.acknowledged(299, 1)).toBe(200);
    expect(released).toEqual([[0, 512]]);
  });

  it('leaves blocks alone of which nothing was told', () => {
    const { blocks, released } = setUp();
    blocks.offer(0, 1);
    blocks.offer(1024, 1);
    blocks.acknowledged(0, 1);
    blocks.acknowledged(1024, 1);
    expect(released.map(([first]) => first)).toEqual([0, 1024]);
  });
});
