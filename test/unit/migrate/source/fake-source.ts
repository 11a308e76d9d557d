/** One channel of a source: its RAM and socket are real, the test plays the destination. */
import { onTestFinished } from 'vitest';
import { PageBitmap } from '../../../../src/memory/page-bitmap.js';
import { PAGE_SIZE } from '../../../../src/memory/page-size.js';
import { SourcePages } from '../../../../src/memory/page-states.js';
import { FaultTrail } from '../../../../src/migrate/prefetch/fault-trail.js';
import { RecentPages } from '../../../../src/migrate/prefetch/recent-pages.js';
import { RateLimit } from '../../../../src/migrate/flow/rate-limit.js';
import { Counters } from '../../../../src/migrate/report/counters.js';
import { GoSignal } from '../../../../src/threads/go-signal.js';
import { BlockRelease } from '../../../../src/migrate/source/release.js';
import { RoundSignal } from '../../../../src/migrate/source/round-signal.js';
import { SentPages } from '../../../../src/migrate/source/sent-pages.js';
import type { SourceChannel } from '../../../../src/migrate/source/source-channel.js';
import { native, type NativeMemory } from '../../../../src/native.js';
import { channelPair, contentOf, type OtherEnd } from '../../threads/channel-pair.js';

export interface Source {
  channel: SourceChannel;
  memory: NativeMemory;
  /** As the channel's pages have it. */
  unsent: PageBitmap;
  blocks: BlockRelease;
  signal: GoSignal;
  rounds: RoundSignal;
  other: OtherEnd;
  /** Blocks that were given back; their content stays, for the test to look at. */
  released: [first: number, count: number][];
  /** These pages hold data: contentOf() each, or zeroes. */
  fill(first: number, count: number, zeroes?: boolean): void;
  /** Another channel of the same source. */
  another(): { channel: SourceChannel; other: OtherEnd };
}

export function fakeSource(pages: number): Source {
  const memory = new native.GuestMemory(pages * PAGE_SIZE, 'anonymous');
  onTestFinished(() => memory.close());
  const released: [number, number][] = [];
  const release = (first: number, count: number) => released.push([first, count]);
  const states = new SourcePages(pages);
  const trail = new FaultTrail();
  const recent = new RecentPages(pages);
  const limit = new RateLimit();
  const blocks = new BlockRelease({ release } as unknown as NativeMemory, states);
  const unsent = new PageBitmap(pages, states.maps.unsent);
  const signal = new GoSignal();
  const rounds = new RoundSignal();
  const another = () => {
    const { socket, other } = channelPair();
    const channel = {
      memory,
      socket,
      pages: states,
      trail,
      recent,
      signal,
      rounds,
      counters: new Counters(),
      limit,
      sent: new SentPages(blocks),
      tellsLost: true,
    };
    return { channel, other };
  };
  const fill = (first: number, count: number, zeroes = false) => {
    for (let page = first; page < first + count; page++) {
      memory.write(page * PAGE_SIZE, zeroes ? new Uint8Array(PAGE_SIZE) : contentOf(page));
    }
    blocks.offer(first, count);
  };
  return { ...another(), memory, unsent, blocks, signal, rounds, released, fill, another };
}
