/**
 * Tries page channels while the guest still runs: each carries frames of all sizes that it will carry, and the destination
 * answers each. A network that passes small packets and drops large ones (a link with a smaller MTU on the way, and ICMP
 * filtered) connects every channel, and would stop the guest at its first page. On a worker, all its channels at a time.
 */
import { randomFillSync } from 'node:crypto';
import { PostcopyError } from '../../errors.js';
import { PAGE_SIZE } from '../../memory/page-size.js';
import { native, POLLIN, POLLOUT, type NativeMemory, type Socket } from '../../native.js';
import type { GoSignal } from '../../threads/go-signal.js';
import { PollSet } from '../../threads/poll-set.js';
import { LONGEST_WAIT_MS } from '../../threads/serve-job.js';
import type { ChannelTrial } from '../../watch/events.js';
import type { PlannedChannel } from '../link/worker-plan.js';
import { TriedInbox } from '../wire/page-inbox.js';
import { TrialOutbox } from '../wire/page-outbox.js';
import { EXTENT_PAGES_MAX, TRIAL_TIMEOUT_MS } from '../wire/protocol.js';

/** A connection to be tried. */
export interface Untried extends PlannedChannel {
  socket: Socket;
  /** As errors call the other end. */
  peer: string;
}

/** How many frames of how many pages go out at a time; all of them are answered before the next go. */
type Round = readonly [frames: number, pages: number];

/** From nothing but a header to the largest. */
const ROUNDS: Record<PlannedChannel['kind'], readonly Round[]> = {
  urgent: [
    [1, 0],
    [1, 1],
    [8, 1],
  ],
  bulk: [
    [1, 0],
    [1, 1],
    [1, EXTENT_PAGES_MAX],
  ],
};
/** A last one, for the rate of a link that is quick enough for it: */
const RATE_ROUND: Round = [4, EXTENT_PAGES_MAX];
const QUICK_MICROS = 100_000;

/** Throws UNREACHABLE for a channel that does not carry them all; nothing if `signal` is stopped. */
export function tryChannels(
  channels: readonly Untried[],
  signal: GoSignal,
  timeoutMs = TRIAL_TIMEOUT_MS,
): ChannelTrial[] {
  const memory = new native.GuestMemory(EXTENT_PAGES_MAX * PAGE_SIZE, 'anonymous');
  try {
    // Not what some machine on the way would make little of.
    memory.write(0, randomFillSync(new Uint8Array(EXTENT_PAGES_MAX * PAGE_SIZE)));
    const trials = channels.map((channel) => new Trial(channel, memory, signal, timeoutMs));
    const set = new PollSet();
    while (trials.some(({ isOver }) => !isOver) && !signal.stopped) {
      const under = trials.filter(({ isOver }) => !isOver);
      if (under.map((trial) => trial.step()).some((worked) => worked)) continue;
      set.clear();
      for (const trial of under) trial.source(set);
      set.wait(Math.min(LONGEST_WAIT_MS, timeoutMs));
    }
    return trials.map(({ result }) => result);
  } finally {
    memory.close();
  }
}

class Trial {
  readonly #inbox: TriedInbox;
  readonly #rounds: Round[];
  #outbox: TrialOutbox;
  #round: Round;
  /** Frames of the round that are not answered. */
  #unanswered: number;
  /** The largest frame that was answered. */
  #passed = 0;
  #startedAt = native.monotonicMicros();
  #movedAt = this.#startedAt;
  #roundTrip = Infinity;
  #rate = 0;
  isOver = false;

  constructor(
    readonly channel: Untried,
    readonly memory: NativeMemory,
    signal: GoSignal,
    readonly timeoutMs: number,
  ) {
    this.#inbox = new TriedInbox(channel.socket, signal);
    const [first, ...others] = ROUNDS[channel.kind];
    this.#round = first as Round;
    this.#rounds = others;
    this.#unanswered = this.#round[0];
    this.#outbox = this.#newOutbox();
  }

  get result(): ChannelTrial {
    const { kind, index, socket } = this.channel;
    const path = socket.path();
    return {
      ...{ kind, index, roundTripUs: this.#roundTrip, bytesPerSecond: Math.round(this.#rate) },
      ...(path === undefined ? {} : path),
    };
  }

  /** False if nothing could be done. Throws if nothing could be for too long. */
  step(): boolean {
    const sent = this.#outbox.isSent ? 0 : this.#outbox.send();
    const heard = this.#hear();
    const now = native.monotonicMicros();
    if (sent > 0 || heard) this.#movedAt = now;
    else if (now - this.#movedAt > this.timeoutMs * 1000) throw this.#stuck();
    return sent > 0 || heard;
  }

  source(set: PollSet): void {
    set.add(this.channel.socket.fd, this.#outbox.isSent ? POLLIN : POLLIN | POLLOUT);
  }

  #hear(): boolean {
    if (!this.#inbox.receive()) return false;
    while (!this.isOver && this.#inbox.next()) this.#answered(this.#inbox.pages);
    return true;
  }

  #answered(pages: number): void {
    if (pages !== this.#round[1])
      throw new PostcopyError('BAD_PEER', 'the destination answers a trial that was not made');
    this.#passed = this.#outbox.frameBytes;
    if (--this.#unanswered === 0) this.#endRound();
  }

  #endRound(): void {
    const took = native.monotonicMicros() - this.#startedAt;
    this.#roundTrip = Math.min(this.#roundTrip, took);
    // The last frame's way there and its answer's back are not the link's rate; and the clock is no better than this.
    this.#rate = this.#outbox.bytes / (Math.max(took - this.#roundTrip, took / 4, 1) / 1e6);
    const isQuick = this.channel.kind === 'bulk' && this.#round !== RATE_ROUND && took < QUICK_MICROS;
    const next = this.#rounds.shift() ?? (isQuick ? RATE_ROUND : undefined);
    this.isOver = next === undefined;
    if (next !== undefined) this.#start(next);
  }

  #start(round: Round): void {
    this.#round = round;
    this.#unanswered = round[0];
    this.#outbox = this.#newOutbox();
    this.#startedAt = native.monotonicMicros();
  }

  #newOutbox(): TrialOutbox {
    const [frames, pages] = this.#round;
    return new TrialOutbox(this.channel.socket, this.memory, this.channel.kind, frames, pages);
  }

  #stuck(): PostcopyError {
    const { kind, index, peer } = this.channel;
    const name = kind === 'urgent' ? 'the urgent channel' : `bulk channel ${index}`;
    const bytes = this.#outbox.frameBytes;
    const seconds = this.timeoutMs / 1000;
    if (this.#passed === 0) {
      const text =
        `${name} to ${peer} is connected, but ${bytes} bytes on it were not answered for ${seconds} s: see what ` +
        'stands between the hosts (a proxy, a firewall that counts connections), and whether that host is overloaded';
      return new PostcopyError('UNREACHABLE', text);
    }
    const path = this.channel.socket.path();
    const tcp =
      path === undefined ? '' : ` TCP sends segments of ${path.segmentBytes} bytes, for an MTU of ${path.mtu}.`;
    const text =
      `${name} to ${peer} carries frames of ${this.#passed} bytes, but one of ${bytes} bytes was not answered for ` +
      `${seconds} s: something on the way drops large packets, as a link with a smaller MTU does where ICMP is ` +
      `filtered.${tcp} Give both hosts the MTU of the whole way, or set net.ipv4.tcp_mtu_probing to 1 on both`;
    return new PostcopyError('UNREACHABLE', text);
  }
}
