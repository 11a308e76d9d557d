import { describe, expect, it } from 'vitest';
import * as frames from '../../../../src/migrate/wire/page-frames.js';

const text = (tag: number) => Buffer.from(Uint32Array.of(tag).buffer).toString('latin1');

describe('page frames', () => {
  it('have tags that can be read in a dump', () => {
    const { TAG_REQUEST, TAG_PAGE, TAG_EXTENT, TAG_ZERO, TAG_END, TAG_RECEIVED } = frames;
    expect([TAG_REQUEST, TAG_PAGE, TAG_EXTENT, TAG_ZERO, TAG_END, TAG_RECEIVED].map(text)).toEqual([
      'PREQ',
      'PAGE',
      'PXTT',
      'ZERO',
      'PEND',
      'PRCV',
    ]);
  });

  it('have the sizes of the protocol', () => {
    expect(frames.PAGE_FRAME_BYTES).toBe(4104);
    expect([frames.REQUEST_HEADER_BYTES, frames.EXTENT_HEADER_BYTES, frames.RECEIVED_BYTES]).toEqual([16, 16, 16]);
  });
});

describe('counts', () => {
  it.each([
    [0, [0, 0]],
    [1, [1, 0]],
    [0xffff_ffff, [0xffff_ffff, 0]],
    [0x1_0000_0000, [0, 1]],
    [0x12_3456_789a, [0x3456_789a, 0x12]],
    [2 ** 53 - 1, [0xffff_ffff, 0x1f_ffff]],
  ])('%d takes two words, the low one first', (count, words) => {
    const put = new Uint32Array(4).fill(7);
    frames.putCount(put, 1, count);
    expect([...put]).toEqual([7, ...words, 7]);
    expect(frames.getCount(put, 1)).toBe(count);
  });
});
