/** What the push does before the hand-over, in rounds. */
import { describe, expect, it } from 'vitest';
import { inOrder } from '../../../../src/migrate/prefetch/in-order.js';
import { BackgroundPush } from '../../../../src/migrate/source/background-push.js';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { words } from '../../threads/channel-pair.js';
import { badPeer, parse, received, setUp, straightOn } from './push-rig.js';

/** A push whose answers are kept, of pages that hold data and nothing else. */
function inRounds() {
  const rig = setUp();
  rig.fill(0, 200);
  rig.channel.pages.takeUncopied();
  const answers: number[] = [];
  const push = new BackgroundPush(rig.channel, inOrder, straightOn, (change) => void answers.push(change));
  const runOn = (begun: Buffer = Buffer.alloc(0)) => {
    const parts: Buffer[] = [begun];
    while (push.step()) parts.push(rig.other.take());
    return parse(Buffer.concat(parts));
  };
  const run = () => runOn();
  const feed = (bytes: Uint8Array) => rig.other.putAll(bytes, () => push.step());
  return { ...rig, push, run, runOn, feed, answers };
}

describe('BackgroundPush in rounds', () => {
  it('sends what is to be copied, and answers when it has arrived', () => {
    const { channel, rounds, run, feed, answers, released } = inRounds();
    channel.pages.copy(Uint32Array.of(0, 100));
    expect(run()).toEqual([]);
    const change = rounds.begin();
    expect(run()).toEqual([
      ['EXTENT', 0, 64],
      ['EXTENT', 64, 36],
    ]);
    feed(received(99));
    expect([run(), answers]).toEqual([[], []]);
    feed(received(100));
    expect([run(), answers]).toEqual([[], [change]]);
    const { counters } = channel;
    expect([counters.get('copies'), counters.get('pages'), counters.get('released')]).toEqual([100, 0, 0]);
    expect([released, channel.pages.allAcknowledged]).toEqual([[], false]);
  });

  it('sends nothing of the next round before it is told of it', () => {
    const { channel, rounds, run, answers } = inRounds();
    const first = rounds.begin();
    run();
    channel.pages.copy(Uint32Array.of(7, 1));
    expect([run(), answers]).toEqual([[], [first]]);
    rounds.begin();
    expect(run()).toEqual([['EXTENT', 7, 1]]);
  });

  it('claims nothing once they are over, and answers when what it has claimed has arrived', () => {
    const { channel, rounds, push, other, run, runOn, feed, answers } = inRounds();
    channel.pages.copy(Uint32Array.of(0, 200));
    rounds.begin();
    push.step();
    const change = rounds.close();
    expect([runOn(other.take()), answers]).toEqual([[['EXTENT', 0, 64]], []]);
    feed(received(64));
    expect([run(), answers]).toEqual([[], [change]]);
    expect([...channel.pages.takeUncopied().extents()]).toEqual([64, 136]);
  });

  it('pushes behind the hand-over what was not copied, once, and gives back all of it', () => {
    const { channel, rounds, signal, blocks, run, feed, released } = inRounds();
    channel.pages.copy(Uint32Array.of(0, 64));
    rounds.begin();
    run();
    feed(received(64));
    rounds.close();
    run();
    // Pages 0 to 199 are in the books since they were filled; these are to be sent.
    channel.pages.copy(Uint32Array.of(64, 136));
    blocks.acknowledged(0, 64);
    signal.handOver();
    expect(run()).toEqual([['EXTENT', 64, 64], ['EXTENT', 128, 64], ['EXTENT', 192, 8], ['END']]);
    feed(received(200));
    expect([channel.pages.allAcknowledged, released]).toEqual([true, [[0, 512]]]);
  });

  it('is asked for no page meanwhile', () => {
    const { another, rounds } = inRounds();
    const urgent = another();
    const server = new PageServer(urgent.channel);
    rounds.begin();
    urgent.other.put(words(0x51455250, 1, 0, 0, 3));
    expect(() => server.step()).toThrow(badPeer);
  });
});
