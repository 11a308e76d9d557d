/** A BackgroundPush with a pair of sockets, of which the test has the other end. */
import { expect } from 'vitest';
import { inOrder } from '../../../../src/migrate/prefetch/in-order.js';
import type { MakePlan } from '../../../../src/migrate/prefetch/page-plan.js';
import { BackgroundPush, type Depth } from '../../../../src/migrate/source/background-push.js';
import type { SourceChannel } from '../../../../src/migrate/source/source-channel.js';
import { contentOf, words } from '../../threads/channel-pair.js';
import { waitsOf } from '../../threads/waits-of.js';
import { fakeSource, type Source } from './fake-source.js';

export const PAGE = 4096;
const PAGES = 700;
export const HEADER = 16;
const [EXTENT, ZERO, END, RECEIVED] = ['PXTT', 'ZERO', 'PEND', 'PRCV'].map((tag) =>
  Buffer.from(tag).readUInt32LE(),
) as [number, number, number, number];
export { EXTENT, ZERO, RECEIVED };

export const received = (count: number) => Buffer.from(words(RECEIVED, 0, count, 0));
export const badPeer = expect.objectContaining({ code: 'BAD_PEER' });
export const linkLost = expect.objectContaining({ code: 'LINK_LOST' });

/** Does not wait for acknowledgements, and makes extents as long as they may be. */
export const straightOn: Depth = { extentPages: 64, open: true, sent: () => {}, acknowledged: () => {} };

type Frame = ['EXTENT' | 'ZERO', first: number, pages: number] | ['END'];

/** The frames of a stream; throws unless it ends with a whole one and every page in it is what it was. */
export function parse(stream: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < stream.length; at += HEADER) {
    const [tag, first, pages, zero] = [0, 4, 8, 12].map((i) => stream.readUInt32LE(at + i)) as [
      number,
      number,
      number,
      number,
    ];
    expect(zero).toBe(0);
    if (tag === END) frames.push(['END']);
    else if (tag === ZERO) frames.push(['ZERO', first, pages]);
    else if (tag === EXTENT) frames.push(['EXTENT', first, pages]);
    else throw new Error(`no frame at byte ${at}`);
    for (let page = first; tag === EXTENT && page < first + pages; page++, at += PAGE) {
      const content = stream.subarray(at + HEADER, at + HEADER + PAGE);
      if (!content.equals(contentOf(page))) throw new Error(`page ${page} is not what it was`);
    }
  }
  return frames;
}

interface Setting extends Source {
  push: BackgroundPush;
  /** Steps, and takes what comes, until there is nothing more to do. */
  run(): Buffer;
  feed(bytes: Uint8Array): void;
  events(): number;
}

export function setUp(
  change: (channel: SourceChannel) => Partial<SourceChannel> = () => ({}),
  depth: Depth = straightOn,
  makePlan: MakePlan = inOrder,
): Setting {
  const source = fakeSource(PAGES);
  const channel = { ...source.channel, ...change(source.channel) };
  const push = new BackgroundPush(channel, makePlan, depth);
  const run = () => {
    const parts: Buffer[] = [];
    while (push.step()) parts.push(source.other.take());
    return Buffer.concat(parts);
  };
  const feed = (bytes: Uint8Array) => source.other.putAll(bytes, () => push.step());
  const events = () => {
    const waits = waitsOf(push);
    expect(waits).toEqual([[channel.socket.fd, expect.any(Number)]]);
    return waits.reduce((all, [, wanted]) => all | wanted, 0);
  };
  return { ...source, channel, push, run, feed, events };
}
