import { describe, expect, it, onTestFinished } from 'vitest';
import { BulkReceiver } from '../../../../src/migrate/destination/pages/bulk-receiver.js';
import { UrgentSupply } from '../../../../src/migrate/destination/pages/urgent-supply.js';
import { tryChannels, type Untried } from '../../../../src/migrate/source/channel-trial.js';
import { native, type Socket } from '../../../../src/native.js';
import { GoSignal } from '../../../../src/threads/go-signal.js';
import { fakeDestination } from '../destination/pages/fake-userfaultfd.js';

const PAGES = 64;
const PEER = '192.0.2.7:7000';
const TRIED = Buffer.from('PTRD').readUInt32LE();
const [FOR_EVER, SHORT] = [60_000, 30];

function pair(): [Socket, Socket] {
  const [a, b] = native.socketPair();
  const sockets: [Socket, Socket] = [new native.Socket('adopt', a), new native.Socket('adopt', b)];
  onTestFinished(() => sockets.forEach((socket) => socket.close()));
  return sockets;
}

const untried = (kind: Untried['kind'], socket: Socket, index = 0): Untried => ({ kind, index, socket, peer: PEER });

/** Each turn of the trial is followed by one of these. */
function turning(...steps: (() => void)[]): GoSignal {
  const signal = new GoSignal();
  Object.defineProperty(signal, 'stopped', {
    get() {
      for (const step of steps) step();
      return false;
    },
  });
  return signal;
}

/** What answers a TRIAL of so many pages. */
function answer(socket: Socket, pages: number): void {
  const frame = new Uint8Array(16 + (pages > 0 ? 4096 : 0));
  new Uint32Array(frame.buffer).set([TRIED, pages]);
  socket.send(frame, 0, frame.length);
}

describe('channels that carry what they have to', () => {
  it('are told with what they showed, and nothing of the trial is taken for a page', () => {
    const destination = fakeDestination(PAGES);
    const signal = new GoSignal();
    const [urgent, urgentThere] = pair();
    const bulk = [pair(), pair()];
    const supply = new UrgentSupply(urgentThere, destination.installer, signal);
    const receivers = bulk.map(([, there]) => new BulkReceiver(there, destination.installer, signal));
    const channels = [untried('urgent', urgent), ...bulk.map(([socket], index) => untried('bulk', socket, index))];
    const turns = turning(() => void supply.receive(), ...receivers.map((receiver) => () => void receiver.step()));
    const trials = tryChannels(channels, turns, FOR_EVER);
    expect(trials.map(({ kind, index }) => [kind, index])).toEqual([
      ['urgent', 0],
      ['bulk', 0],
      ['bulk', 1],
    ]);
    for (const { roundTripUs, bytesPerSecond, mtu } of trials) {
      expect(roundTripUs).toBeGreaterThan(0);
      expect(bytesPerSecond).toBeGreaterThan(0);
      expect(mtu).toBeUndefined(); // a socket pair has none
    }
    expect(destination.counters.get('installed')).toBe(0);
    // What comes next is the channel's own.
    expect([supply.receive(), ...receivers.map((receiver) => receiver.step())]).toEqual([false, false, false]);
  });

  it('end at once when somebody stops them', () => {
    const signal = new GoSignal();
    signal.stop();
    expect(() => tryChannels([untried('bulk', pair()[0])], signal, FOR_EVER)).not.toThrow();
  });
});

describe('a channel that does not', () => {
  it.each<[string, Untried['kind'], number[], RegExp]>([
    [
      'anything',
      'urgent',
      [],
      /^the urgent channel to 192.0.2.7:7000 is connected, but 8 bytes on it were not answered/,
    ],
    ['a page', 'urgent', [0], /^the urgent channel to .* carries frames of 8 bytes, but one of 4104 bytes was not/],
    ['a page', 'bulk', [0], /^bulk channel 3 to .* carries frames of 16 bytes, but one of 4112 bytes was not/],
    ['an extent', 'bulk', [0, 1], /frames of 4112 bytes, but one of 262160 bytes .* a smaller MTU .* ICMP is filtered/],
  ])('carry %s (%s) is told, with its sizes and what to look at', (_, kind, answered, message) => {
    const [socket, there] = pair();
    for (const pages of answered) answer(there, pages);
    expect(() => tryChannels([untried(kind, socket, 3)], new GoSignal(), SHORT)).toThrow(
      expect.objectContaining({ code: 'UNREACHABLE', message: expect.stringMatching(message) }),
    );
  });

  it.each([64, 65])('answers what was asked (%d pages) is no destination', (pages) => {
    const [socket, there] = pair();
    answer(there, pages);
    expect(() => tryChannels([untried('bulk', socket)], new GoSignal(), FOR_EVER)).toThrow(
      expect.objectContaining({ code: 'BAD_PEER' }),
    );
  });
});

describe('a destination', () => {
  const trial = (pages: number) => {
    const frame = new Uint8Array(16 + pages * 4096);
    new Uint32Array(frame.buffer).set([Buffer.from('PTRI').readUInt32LE(), 0, pages]);
    return frame;
  };

  it('is tried before the hand-over only, and so often', () => {
    for (const [handsOver, most] of [
      [true, 0],
      [false, 32],
    ] as const) {
      const signal = new GoSignal();
      if (handsOver) signal.handOver();
      const [socket, there] = pair();
      const receiver = new BulkReceiver(there, fakeDestination(PAGES).installer, signal);
      const tryOnce = () => {
        socket.send(trial(0), 0, 16);
        while (receiver.step());
      };
      for (let i = 0; i < most; i++) tryOnce();
      expect(tryOnce).toThrow(expect.objectContaining({ code: 'BAD_PEER' }));
    }
  });
});
