import { describe, expect, it } from 'vitest';
import { RequestQueue } from '../../../../../src/migrate/destination/pages/request-queue.js';
import { DestinationPages } from '../../../../../src/memory/page-states.js';
import type { Socket } from '../../../../../src/native.js';

function setUp(): { requests: RequestQueue; frames: Uint8Array[] } {
  const frames: Uint8Array[] = [];
  const send = (bytes: Uint8Array, offset: number, length: number) => frames.push(bytes.slice(offset, offset + length));
  return { requests: new RequestQueue(new DestinationPages(10_000), { send } as unknown as Socket), frames };
}

/** "PREQ", pages, pages received in 64 bits, then the pages. */
const words = (frame: Uint8Array) => [...new Uint32Array(frame.slice().buffer)];

describe('RequestQueue', () => {
  it('asks for all that gathered in one frame', () => {
    const { requests, frames } = setUp();
    requests.add(0x102, 5);
    requests.add(9, 5);
    expect(frames).toEqual([]);
    requests.flush(5);
    expect(frames.map((frame) => [...frame])).toEqual([
      [...[0x50, 0x52, 0x45, 0x51, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0], ...[0x02, 0x01, 0, 0, 9, 0, 0, 0]],
    ]);
  });

  it('asks for a page once, ever', () => {
    const { requests, frames } = setUp();
    requests.add(7, 0);
    requests.add(7, 0);
    requests.flush(0);
    requests.add(7, 0);
    requests.flush(0);
    expect(frames.map(words)).toEqual([[0x51455250, 1, 0, 0, 7]]);
  });

  it('sends by itself at 64 pages', () => {
    const { requests, frames } = setUp();
    for (let page = 0; page < 65; page++) requests.add(page, 2 ** 32 + 3);
    expect(frames.map(words)).toEqual([[0x51455250, 64, 3, 1, ...Array.from({ length: 64 }, (_, page) => page)]]);
    requests.flush(0);
    expect(words(frames[1]!)).toEqual([0x51455250, 1, 0, 0, 64]);
  });

  it('says nothing when there is nothing to say', () => {
    const { requests, frames } = setUp();
    requests.flush(3);
    requests.acknowledge(0);
    expect(frames).toEqual([]);
  });

  it('acknowledges without asking, each number once', () => {
    const { requests, frames } = setUp();
    requests.acknowledge(3);
    requests.acknowledge(3);
    expect(frames.map(words)).toEqual([[0x51455250, 0, 3, 0]]);
    requests.add(1, 4);
    requests.flush(4);
    requests.acknowledge(4);
    expect(frames).toHaveLength(2);
  });
});
