/** A source played by the test that sends pages in rounds: of a true VM, so that its guest runs at a true destination. */
import { expect } from 'vitest';
import { PAGE_SIZE, pagesFor } from '../../src/memory/page-size.js';
import { decodeRamMap } from '../../src/memory/ram-map.js';
import type { Hello, State } from '../../src/migrate/wire/message.js';
import {
  EXTENT_HEADER_BYTES,
  getCount,
  PAGE_FRAME_BYTES,
  PAGE_HEADER_BYTES,
  RECEIVED_BYTES,
  REQUEST_HEADER_BYTES,
  TAG_EXTENT,
  TAG_PAGE,
  TAG_REQUEST,
  TAG_ZERO,
} from '../../src/migrate/wire/page-frames.js';
import { EXTENT_PAGES_MAX, REQUEST_PAGES_MAX, ROUNDS } from '../../src/migrate/wire/protocol.js';
import { words } from '../unit/threads/channel-pair.js';
import { FakeChannel, FakeDestination, greet } from './fake-peers.js';
import type { LoadedVm, WaitingVm } from './guest-vms.js';

/** A VM as it stood still for a moment. */
export interface Snapshot {
  hello: Hello;
  state: State;
  /** Of all pages that hold data, by number. */
  content: ReadonlyMap<number, Uint8Array>;
}

/** Has the VM all but moved; then it goes on where it is. */
export async function snapshotOf({ vm }: LoadedVm): Promise<Snapshot> {
  let snapshot: Snapshot | undefined;
  const fake = await FakeDestination.open(async ({ control, urgent, hello }) => {
    const ram = await control.message('ram');
    const state = (await control.message('state'))!;
    const content = new Map<number, Uint8Array>();
    for (const [i, page] of state.firstPages.entries()) {
      content.set(page, state.firstContent.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    }
    const maps = [ram!.ramMap, state.ramMap].map((map) => decodeRamMap(map, pagesFor(hello.memoryBytes)));
    const others = maps.flatMap((map) => pagesOf(map)).filter((page) => !content.has(page));
    for (let at = 0; at < others.length; at += REQUEST_PAGES_MAX) {
      const asked = others.slice(at, at + REQUEST_PAGES_MAX);
      urgent.write(words(TAG_REQUEST, asked.length, 0, 0, ...asked));
      for (let i = 0; i < asked.length; i++) {
        const frame = Uint8Array.from((await urgent.take(PAGE_FRAME_BYTES))!);
        content.set(new Uint32Array(frame.buffer, 0, 2)[1]!, frame.subarray(PAGE_HEADER_BYTES));
      }
    }
    snapshot = { hello, state, content };
    control.send('abort', { reason: 'it was only looked at' });
  });
  expect((await vm.client.migrate(fake.address, () => {})).status).toBe('failed');
  await fake.close();
  return snapshot!;
}

function pagesOf(extents: Uint32Array): number[] {
  const pages: number[] = [];
  for (let i = 0; i < extents.length; i += 2) {
    for (let page = 0; page < extents[i + 1]!; page++) pages.push(extents[i]! + page);
  }
  return pages;
}

const ID = new Uint8Array(16).fill(9);

/** Up to the page channels being open. */
export class FakeRounds {
  #sent = 0;
  #received = 0;

  private constructor(
    readonly control: FakeChannel,
    readonly urgent: FakeChannel,
    readonly bulk: FakeChannel,
  ) {}

  static async open({ address }: WaitingVm, hello: Hello): Promise<FakeRounds> {
    const control = FakeChannel.open(address);
    expect(await greet(control, 'control', ID)).toBe('welcome');
    control.send('hello', hello);
    expect(await control.message('accept')).toMatchObject({ features: expect.arrayContaining([ROUNDS]) });
    const channel = async (kind: 'urgent' | 'bulk') => {
      const open = FakeChannel.open(address);
      expect(await greet(open, kind, ID)).toBe('welcome');
      return open;
    };
    return new FakeRounds(control, await channel('urgent'), await channel('bulk'));
  }

  /** Any pages in any order, each with what `contentOf` says; in frames as long as they can be. */
  send(pages: readonly number[], contentOf: (page: number) => Uint8Array): void {
    for (const run of runsOf(pages)) this.#frame(TAG_EXTENT, run, run.map(contentOf));
  }

  sendZero(pages: readonly number[]): void {
    for (const run of runsOf(pages)) this.#frame(TAG_ZERO, run, []);
  }

  #frame(tag: number, run: readonly number[], content: Uint8Array[]): void {
    this.bulk.write(Buffer.concat([words(tag, run[0]!, run.length, 0), ...content]));
    this.#sent += run.length;
  }

  /** All that was sent is RECEIVED. */
  async barrier(): Promise<void> {
    while (this.#received < this.#sent) {
      const frame = Uint8Array.from((await this.bulk.take(RECEIVED_BYTES))!);
      this.#received = getCount(new Uint32Array(frame.buffer), 2);
    }
    expect(this.#received).toBe(this.#sent);
  }

  /** Answers requests with pages of `contentOf` that `take` gives away, until the channel is closed. */
  async serve(take: (page: number) => boolean, contentOf: (page: number) => Uint8Array): Promise<void> {
    for (;;) {
      const header = await this.urgent.take(REQUEST_HEADER_BYTES);
      if (header === undefined) return;
      const asked = await this.urgent.take(4 * header.readUInt32LE(4));
      if (asked === undefined) return;
      for (let at = 0; at < asked.length; at += 4) {
        const page = asked.readUInt32LE(at);
        if (take(page)) this.urgent.write(Buffer.concat([words(TAG_PAGE, page), contentOf(page)]));
      }
    }
  }
}

/** Bytes of an EXTENT of one page up to the middle of its content. */
export function halfAnExtent(page: number): Uint8Array {
  return Buffer.concat([words(TAG_EXTENT, page, 1, 0), new Uint8Array(EXTENT_HEADER_BYTES + PAGE_SIZE / 2)]);
}

function runsOf(pages: readonly number[]): number[][] {
  const runs: number[][] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last !== undefined && last.at(-1) === page - 1 && last.length < EXTENT_PAGES_MAX) last.push(page);
    else runs.push([page]);
  }
  return runs;
}
