/** The link of one run: it does what the plan says, when it says it, and notes what has passed. */
import { setTimeout as delay } from 'node:timers/promises';
import { Deferred } from '../../src/basics/deferred.js';
import { FrameDecoder } from '../../src/migrate/wire/frame.js';
import type { MessageType } from '../../src/migrate/wire/message.js';
import { otherEnd, Relay, type Connection, type End, type Passage, type Traffic } from '../support/relay.js';
import { faultText, type Fault, type Hit } from './plan.js';

/** The processes at its ends. */
export interface Ends {
  signal(end: End, signal: NodeJS.Signals): void;
  /** Resolves when it is dead. */
  kill(end: End): Promise<void>;
}

/** What the ends can know of each other. */
export interface Passed {
  /** Sent, as far as the network has read it. */
  sent: Set<MessageType>;
  /** Handed to the other end. */
  arrived: Set<MessageType>;
  /** The source can know that the guest runs at the destination. */
  toldRuns: boolean;
  /** The destination has said that it never ran the guest. */
  saidNeverRan: boolean;
  /** The destination can know that the source knows. */
  toldKnown: boolean;
}

interface Silence {
  hit: Hit;
  to: End | 'both';
}

export class FaultyNetwork implements Traffic {
  #relay!: Relay;
  readonly #ends: Ends;
  readonly #waiting: Fault[];
  readonly #silences = new Set<Silence>();
  /** Connections of which one end only was told that they broke. */
  readonly #halves = new Set<Connection>();
  readonly #pending: Promise<void>[] = [];
  readonly #killed = new Deferred<End>();
  readonly #begunAt = performance.now();
  #isFrozen = false;
  /** Being killed, or dead. */
  killing: End | undefined;
  #opens = new Deferred<void>();
  #pushed = 0;
  readonly fired: Fault[] = [];
  readonly log: string[] = [];
  readonly passed: Passed = {
    ...{ sent: new Set(), arrived: new Set() },
    ...{ toldRuns: false, saidNeverRan: false, toldKnown: false },
  };

  private constructor(faults: readonly Fault[], ends: Ends) {
    this.#waiting = [...faults];
    this.#ends = ends;
  }

  static async open(
    target: { host: string; port: number },
    faults: readonly Fault[],
    ends: Ends,
  ): Promise<FaultyNetwork> {
    const network = new FaultyNetwork(faults, ends);
    network.#relay = await Relay.open(target, network);
    return network;
  }

  get address(): { host: string; port: number } {
    return this.#relay.address;
  }

  /** Resolves when a fault has killed an end, to that end. */
  get killed(): Promise<End> {
    return this.#killed.promise;
  }

  /** From now on nothing fails; resolves when what has begun is over. */
  async calm(): Promise<void> {
    this.#waiting.length = 0;
    await Promise.all(this.#pending);
  }

  async close(): Promise<void> {
    await this.calm();
    await this.#relay.close();
  }

  async pass(passage: Passage, forward: () => Promise<void>): Promise<void> {
    const { connection, to, message } = passage;
    this.#noteSent(passage);
    await this.#untilOpen(connection, to);
    const fault = this.#due(passage);
    const isAfter = fault?.moment.at === 'message' && fault.moment.when === 'after';
    if (fault !== undefined && !isAfter) {
      if ((await this.#fire(fault, connection)) === 'lost') return this.#note(passage, 'is lost');
      await this.#untilOpen(connection, to);
    }
    await forward();
    if (message !== undefined) this.passed.arrived.add(message);
    this.#noteArrived(passage);
    if (fault !== undefined && isAfter) await this.#fire(fault, connection);
  }

  async endsFor(connection: Connection, to: End): Promise<void> {
    await this.#untilOpen(connection, to);
  }

  gone(connection: Connection, end: End): void {
    if (this.#halves.has(connection)) return;
    const other = otherEnd(end);
    void this.#untilOpen(connection, other).then(() => connection.sockets[other].destroy());
  }

  /** The next fault, if its moment has come with what passes. */
  #due({ connection, to, bytes, isPreamble, message }: Passage): Fault | undefined {
    const moment = this.#waiting[0]?.moment;
    if (moment === undefined) return undefined;
    // Before COMMIT the channels are only tried; or pages cross in rounds.
    const isOnBulk = !isPreamble && connection.channel === 'bulk' && to === 'destination';
    const isPushed = isOnBulk && this.passed.sent.has('commit');
    const isCopied = isOnBulk && this.passed.sent.has('copying') && !isPushed;
    if (isPushed || isCopied) this.#pushed += bytes.length;
    const isReconnect =
      isPreamble && to === 'destination' && connection.channel === 'control' && connection.generation > 0;
    const isDue =
      (moment.at === 'message' && moment.message === message) ||
      (moment.at === 'pushed' && isPushed && this.#pushed > moment.bytes) ||
      (moment.at === 'copied' && isCopied && this.#pushed > moment.bytes) ||
      (moment.at === 'reconnect' && isReconnect);
    if (!isDue) return undefined;
    this.#pushed = 0;
    return this.#waiting.shift();
  }

  /** `lost`: what is just passing on this connection. */
  async #fire(fault: Fault, connection: Connection): Promise<'lost' | void> {
    this.fired.push(fault);
    this.say(faultText(fault));
    switch (fault.kind) {
      case 'reset':
        for (const each of this.#relay.connections) if (isHit(each, fault.hit)) this.#reset(each, fault.ends);
        return isHit(connection, fault.hit) ? 'lost' : undefined;
      case 'silence': {
        const silence = { hit: fault.hit, to: fault.to };
        this.#silences.add(silence);
        return this.#later(fault, () => this.#silences.delete(silence));
      }
      case 'stop':
        this.#ends.signal(fault.end, 'SIGSTOP');
        return this.#later(fault, () => this.#ends.signal(fault.end, 'SIGCONT'));
      case 'kill':
        await this.#kill(fault.end);
        return 'lost';
    }
  }

  #later(fault: Fault & { ms: number }, end: () => void): void {
    const over = delay(fault.ms).then(() => {
      end();
      this.say(`over: ${faultText(fault)}`);
      this.#wake();
    });
    this.#pending.push(over);
  }

  async #kill(end: End): Promise<void> {
    this.#isFrozen = true;
    this.killing = end;
    await this.#ends.kill(end);
    for (const each of this.#relay.connections) this.#reset(each, 'both');
    this.#isFrozen = false;
    this.#wake();
    this.#killed.resolve(end);
  }

  #reset(connection: Connection, ends: End | 'both'): void {
    if (ends !== 'both') this.#halves.add(connection);
    for (const end of ['source', 'destination'] as const) {
      if (ends === 'both' || ends === end) connection.sockets[end].resetAndDestroy();
    }
  }

  async #untilOpen(connection: Connection, to: End): Promise<void> {
    const isClosed = () => this.#isFrozen || [...this.#silences].some((each) => isSilent(each, connection, to));
    while (isClosed()) await this.#opens.promise;
  }

  #wake(): void {
    this.#opens.resolve();
    this.#opens = new Deferred();
  }

  #noteSent(passage: Passage): void {
    const { connection, bytes, message } = passage;
    if (passage.isPreamble && passage.to === 'destination') {
      this.say(`${connection.channel} ${connection.index} of generation ${connection.generation} opens`);
    }
    if (message === undefined) return;
    this.passed.sent.add(message);
    if (message === 'standing' && standingOf(bytes) === 'never-ran') this.passed.saidNeverRan = true;
    this.#note(passage, 'is sent');
  }

  #noteArrived(passage: Passage): void {
    const { connection, to, message, bytes, isPreamble } = passage;
    if (message === 'running') this.passed.toldRuns = true;
    if (message === 'standing' && standingOf(bytes) !== 'never-ran') this.passed.toldRuns = true;
    const isOnBulk = connection.channel === 'bulk' && to === 'destination' && !isPreamble;
    const isPage = isOnBulk && this.passed.sent.has('commit');
    if (message === 'pushing' || isPage) this.passed.toldKnown = true;
    this.#note(passage, 'arrives');
  }

  #note({ connection, bytes, message }: Passage, what: string): void {
    if (message === undefined || QUIET.has(message)) return;
    const text = message === 'standing' ? `${message} ${standingOf(bytes)}` : message;
    this.say(`${text} (generation ${connection.generation}) ${what}`);
  }

  /** A line of the log. */
  say(text: string): void {
    this.log.push(`${((performance.now() - this.#begunAt) / 1000).toFixed(3)} ${text}`);
  }
}

/** Those of no step. */
const QUIET: ReadonlySet<MessageType> = new Set(['ping', 'pong', 'progress']);

/** Of several bulk channels the first one. */
function isHit({ channel, index }: Connection, hit: Hit): boolean {
  return hit === 'all' || (hit === channel && index === 0);
}

function isSilent({ hit, to: direction }: Silence, connection: Connection, to: End): boolean {
  return isHit(connection, hit) && (direction === 'both' || direction === to);
}

function standingOf(frame: Uint8Array): string | undefined {
  const [message] = new FrameDecoder().push(frame);
  return message?.type === 'standing' ? message.body.is : undefined;
}
