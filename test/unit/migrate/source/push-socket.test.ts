import { describe, expect, it } from 'vitest';
import type { SourceChannel } from '../../../../src/migrate/source/source-channel.js';
import { POLLIN, POLLOUT } from '../../../../src/native.js';
import { HEADER, PAGE, parse, setUp } from './push-rig.js';

describe('a socket that takes less than all', () => {
  /** A socket that takes so many bytes at each call. */
  function limited(channel: SourceChannel, room: () => number): { socket: SourceChannel['socket']; out: Buffer[] } {
    const out: Buffer[] = [];
    let frames = Buffer.alloc(0);
    const trySendPages: SourceChannel['socket']['trySendPages'] = (
      memory,
      headers,
      headerBytes,
      extents,
      count,
      skip,
    ) => {
      const frameOf = (i: number) => {
        const frame = Buffer.alloc(headerBytes + extents[2 * i + 1]! * PAGE);
        frame.set(headers.subarray(i * headerBytes, (i + 1) * headerBytes));
        memory.read(extents[2 * i]! * PAGE, frame.subarray(headerBytes));
        return frame;
      };
      if (skip === 0) frames = Buffer.concat(Array.from({ length: count }, (_, i) => frameOf(i)));
      out.push(frames.subarray(skip, skip + room()));
      return out.at(-1)!.length;
    };
    const receive = channel.socket.receive.bind(channel.socket);
    return { socket: { trySendPages, receive, fd: channel.socket.fd } as unknown as SourceChannel['socket'], out };
  }

  it.each([[[1]], [[HEADER - 1, 1]], [[HEADER]], [[HEADER + 1, PAGE - 1]], [[PAGE, 17, 1, 5 * PAGE]], [[100_000, 3]]])(
    'in pieces of %j bytes: the same stream',
    (sizes) => {
      let [out, turn]: [Buffer[], number] = [[], 0];
      const { fill, push, signal, channel } = setUp((given) => {
        const limit = limited(given, () => sizes[turn++ % sizes.length]!);
        out = limit.out;
        return { socket: limit.socket };
      });
      fill(0, 3);
      fill(3, 2, true);
      fill(5, 60);
      signal.handOver();
      while (push.step());
      const stream = Buffer.concat(out);
      expect(parse(stream)).toEqual([['EXTENT', 0, 3], ['ZERO', 3, 2], ['EXTENT', 5, 59], ['EXTENT', 64, 1], ['END']]);
      expect(channel.counters.get('bytes')).toBe(stream.length);
    },
  );

  it('is waited for, only with a frame under way', () => {
    let room = HEADER + 10;
    const { fill, push, signal, events, unsent } = setUp((given) => limited(given, () => room));
    fill(0, 70);
    signal.handOver();
    expect([push.step(), events()]).toEqual([true, POLLIN | POLLOUT]);
    room = 0;
    expect([push.step(), push.step(), events(), unsent.next(0)]).toEqual([false, false, POLLIN | POLLOUT, 64]);
    room = 64 * PAGE - 10;
    expect([push.step(), events()]).toEqual([true, POLLIN]);
    room = 0;
    // All that is left is under way before the socket says that it takes nothing.
    expect([push.step(), events(), unsent.next(0)]).toEqual([false, POLLIN | POLLOUT, -1]);
    room = 10 * PAGE;
    expect([push.step(), push.step(), events()]).toEqual([true, false, POLLIN]);
  });

  it('and a real one: all arrives, however slowly it is read', () => {
    const { fill, push, signal, other, channel, events } = setUp();
    channel.socket.configure({ sendBuffer: 16 * 1024 });
    fill(0, 200);
    fill(200, 300, true);
    fill(500, 200);
    signal.handOver();
    const parts: Buffer[] = [];
    let waits = 0;
    for (let quiet = 0; quiet < 2;) {
      while (push.step());
      if (events() !== POLLIN) waits++;
      const part = other.take(5000);
      quiet = part.length === 0 ? quiet + 1 : 0;
      parts.push(part);
    }
    const frames = parse(Buffer.concat(parts));
    expect(frames.at(-1)).toEqual(['END']);
    const sum = (kind: string) => frames.reduce((total, [is, , count]) => total + (is === kind ? count! : 0), 0);
    expect([sum('EXTENT'), sum('ZERO'), waits > 100]).toEqual([400, 300, true]);
  });
});
