import { describe, expect, it } from 'vitest';
import { RequestQueue } from '../../../../../src/migrate/destination/pages/request-queue.js';
import type { Socket } from '../../../../../src/native.js';

function setUp(): { requests: RequestQueue; frames: Uint8Array[] } {
  const frames: Uint8Array[] = [];
  const send = (bytes: Uint8Array, offset: number, length: number) => frames.push(bytes.slice(offset, offset + length));
  return { requests: new RequestQueue({ send } as unknown as Socket), frames };
}

/** "PREQ", pages, pages received in 64 bits, then the pages. */
const words = (frame: Uint8Array) => [...new Uint32Array(frame.slice().buffer)];

describe('RequestQueue', () => {
  it('asks for all of the pages in one frame', () => {
    const { requests, frames } = setUp();
    requests.ask(Uint32Array.of(0x102, 9, 7), 2, 5);
    expect(frames.map((frame) => [...frame])).toEqual([
      [...[0x50, 0x52, 0x45, 0x51, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], ...[0x02, 0x01, 0, 0, 9, 0, 0, 0]],
    ]);
  });

  it.each([64, 65, 128, 130])('asks for %d pages in frames of 64', (count) => {
    const { requests, frames } = setUp();
    const pages = Uint32Array.from({ length: count }, (_, page) => page * 2);
    requests.ask(pages, count, 2 ** 32 + 3);
    const due: number[][] = [];
    for (let at = 0; at < count; at += 64) {
      const part = pages.subarray(at, at + 64);
      due.push([0x51455250, part.length, 3, 1, ...part]);
    }
    expect(frames.map(words)).toEqual(due);
  });

  it('says nothing when there is nothing to say', () => {
    const { requests, frames } = setUp();
    requests.ask(new Uint32Array(64), 0, 3);
    requests.acknowledge(0);
    expect(frames).toEqual([]);
  });

  it('acknowledges without asking, each number once', () => {
    const { requests, frames } = setUp();
    requests.acknowledge(3);
    requests.acknowledge(3);
    expect(frames.map(words)).toEqual([[0x51455250, 0, 3, 0]]);
    requests.ask(Uint32Array.of(1), 1, 4);
    requests.acknowledge(4);
    expect(frames).toHaveLength(2);
  });
});
