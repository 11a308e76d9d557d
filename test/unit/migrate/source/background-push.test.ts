import { describe, expect, it, vi } from 'vitest';
import type { SourcePages } from '../../../../src/memory/page-states.js';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { POLLIN } from '../../../../src/native.js';
import { losePage } from '../../../native/lose-page.js';
import { contentOf, words } from '../../threads/channel-pair.js';
import { PAGE, HEADER, EXTENT, ZERO, linkLost, parse, setUp, straightOn } from './push-rig.js';

const [LOST, END] = [0x54534c50, 0x444e4550];

describe('BackgroundPush', () => {
  it('sends nothing before the hand-over', () => {
    const { push, fill, other, unsent, signal, events } = setUp();
    fill(0, 10);
    expect([push.step(), events(), other.take().length, unsent.next(0)]).toEqual([false, POLLIN, 0, 0]);
    signal.handOver();
    expect(push.step()).toBe(true);
    expect(parse(other.take())).toEqual([['EXTENT', 0, 10], ['END']]);
  });

  it('sends all there is from the first page on, in extents of 64 at most, and the end once', () => {
    const { push, fill, run, signal, unsent, channel, events } = setUp();
    fill(10, 130);
    fill(300, 1);
    fill(699, 1);
    signal.handOver();
    const stream = run();
    expect(parse(stream)).toEqual([
      ['EXTENT', 10, 64],
      ['EXTENT', 74, 64],
      ['EXTENT', 138, 2],
      ['EXTENT', 300, 1],
      ['EXTENT', 699, 1],
      ['END'],
    ]);
    const { counters } = channel;
    expect([unsent.next(0), counters.get('pages'), counters.get('zeroPages')]).toEqual([-1, 132, 0]);
    expect(counters.get('bytes')).toBe(stream.length);
    expect([push.step(), push.step(), events(), run().length]).toEqual([false, false, POLLIN, 0]);
  });

  it('sends scattered pages together, no more of them than one extent would have, and a few frames at most', () => {
    const pages = Array.from({ length: 40 }, (_, i) => 2 * i);
    const few = { ...straightOn, extentPages: 10 };
    const frames = pages.map((page) => ['EXTENT', page, 1]);
    for (const [depth, together] of [
      [straightOn, 16],
      [few, 10],
    ] as const) {
      const { fill, push, other, run, signal, channel } = setUp(undefined, depth);
      for (const page of pages) fill(page, 1);
      signal.handOver();
      expect(push.step()).toBe(true);
      const first = parse(other.take());
      expect(first).toEqual(frames.slice(0, together));
      expect([...first, ...parse(run())]).toEqual([...frames, ['END']]);
      expect(channel.counters.get('pages')).toBe(40);
    }
  });

  it('tells only the end when there is nothing to send', () => {
    const { run, signal, channel } = setUp();
    signal.handOver();
    expect(parse(run())).toEqual([['END']]);
    expect([channel.counters.get('bytes'), channel.sent.empty]).toEqual([HEADER, true]);
  });

  it('tells of pages of zeroes instead of sending them', () => {
    const { fill, run, signal, channel } = setUp();
    fill(0, 2);
    fill(2, 70, true);
    fill(72, 1);
    fill(73, 1, true);
    signal.handOver();
    const stream = run();
    expect(parse(stream)).toEqual([
      ['EXTENT', 0, 2],
      ['ZERO', 2, 62],
      ['ZERO', 64, 8],
      ['EXTENT', 72, 1],
      ['ZERO', 73, 1],
      ['END'],
    ]);
    const { counters } = channel;
    expect([counters.get('pages'), counters.get('zeroPages'), counters.get('bytes')]).toEqual([3, 71, stream.length]);
  });

  it.each([true, false])('passes over pages that are lost, and tells of them if it can: %s', (tellsLost) => {
    const { blocks, fill, memory, run, signal, channel } = setUp();
    channel.tellsLost = tellsLost;
    for (const page of [3, 4, 600]) losePage(memory, page);
    fill(0, 3);
    blocks.offer(3, 2);
    fill(5, 2);
    blocks.offer(600, 1);
    signal.handOver();
    const lost = (page: number): Uint8Array[] => (tellsLost ? [words(LOST, page, 1, 0)] : []);
    const sent = [
      ...[words(EXTENT, 0, 3, 0), contentOf(0), contentOf(1), contentOf(2), ...lost(3), ...lost(4)],
      ...[words(EXTENT, 5, 2, 0), contentOf(5), contentOf(6), ...lost(600), words(END, 0, 0, 0)],
    ];
    const stream = run();
    expect(stream.equals(Buffer.concat(sent))).toBe(true);
    const { counters, sent: unacknowledged } = channel;
    expect([counters.get('pages'), counters.get('lost'), counters.get('bytes')]).toEqual([5, 3, stream.length]);
    unacknowledged.acknowledge(tellsLost ? 8 : 5);
    expect(unacknowledged.empty).toBe(true);
  });

  it('takes a page for zeroes only if its last byte is zero too', () => {
    const { fill, memory, other, push, signal } = setUp();
    fill(0, 3, true);
    memory.write(2 * PAGE - 1, Uint8Array.of(1));
    signal.handOver();
    while (push.step());
    const stream = other.take();
    expect(stream.length).toBe(4 * HEADER + PAGE);
    expect([0, HEADER, 2 * HEADER + PAGE].map((at) => stream.readUInt32LE(at))).toEqual([ZERO, EXTENT, ZERO]);
  });

  it('goes back for pages that are left behind it', () => {
    const { fill, push, other, run, signal, unsent } = setUp();
    fill(200, 70);
    signal.handOver();
    push.step();
    fill(20, 2);
    expect(parse(Buffer.concat([other.take(), run()]))).toEqual([
      ['EXTENT', 200, 64],
      ['EXTENT', 264, 6],
      ['EXTENT', 20, 2],
      ['END'],
    ]);
    expect(unsent.next(0)).toBe(-1);
  });

  it('leaves pages to others that are faster', () => {
    // Another channel takes the first page just after this one has found it.
    let taken = false;
    const racing = ({ pages }: { pages: SourcePages }) => {
      const claimRun = pages.claimRun.bind(pages);
      vi.spyOn(pages, 'claimRun').mockImplementation((first, most) => {
        if (!taken) pages.claim(first);
        taken = true;
        return claimRun(first, most);
      });
      return {};
    };
    const { fill, run, signal } = setUp(racing);
    fill(30, 1);
    fill(40, 2);
    signal.handOver();
    expect(parse(run())).toEqual([['EXTENT', 40, 2], ['END']]);
  });

  it('sends no page that was asked for meanwhile, and the server none that is pushed', () => {
    const { fill, push, other, run, signal, another } = setUp();
    fill(0, 200);
    signal.handOver();
    const urgent = another();
    const server = new PageServer(urgent.channel);
    const ask = (...pages: number[]) => {
      urgent.other.put(words(0x51455250, pages.length, 0, 0, ...pages));
      server.step();
      return urgent.other.take();
    };
    push.step();
    const asked = ask(3, 100, 63, 64);
    expect(Array.from({ length: asked.length / 4104 }, (_, i) => asked.readUInt32LE(i * 4104 + 4))).toEqual([
      ...[100, 96, 97, 98, 99, 101, 102, 103],
      ...[64, 65, 66, 67, 68, 69, 70, 71],
    ]);
    expect(parse(Buffer.concat([other.take(), run()]))).toEqual([
      ['EXTENT', 0, 64],
      ['EXTENT', 72, 24],
      ['EXTENT', 104, 40],
      ['EXTENT', 144, 56],
      ['END'],
    ]);
    expect(ask(150).length).toBe(0);
  });
});

describe('a channel that is closed', () => {
  it('by the destination is a lost link', () => {
    const { push, other, run, fill, signal } = setUp();
    fill(0, 64);
    signal.handOver();
    run();
    other.close();
    expect(() => push.step()).toThrow(linkLost);
  });

  it('in the middle of a frame is an error of the system call, which is one as well', () => {
    const { push, other, fill, signal, channel } = setUp();
    channel.socket.configure({ sendBuffer: 16 * 1024 });
    fill(0, 64);
    signal.handOver();
    push.step();
    other.close();
    expect(() => push.step()).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(ECONN|EPIPE|LINK_LOST)/) }),
    );
  });

  it('by ourselves is the end', () => {
    const { push, signal, channel } = setUp();
    signal.stop();
    channel.socket.shutdown();
    expect(push.step()).toBe(false);
  });
});
