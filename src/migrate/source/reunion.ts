/**
 * Looks for the destination of a migration whose link broke behind COMMIT: at once, then with growing pauses, until it says
 * what it is. Each attempt is of a generation of its own, so that what comes of one that was given up is known as such.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { whileWanted } from '../../basics/while-wanted.js';
import { within } from '../../basics/within.js';
import { describeError, PostcopyError } from '../../errors.js';
import { native } from '../../native.js';
import type { ControlConnection } from '../link/control-connection.js';
import type { connectControl } from '../link/connect-control.js';
import type { Dialer } from '../link/dialer.js';
import type { Message, Standing } from '../wire/message.js';
import { ANSWER_TIMEOUT_MS, PROTOCOL_VERSION } from '../wire/protocol.js';

/** A link that is broken, as the source knows it. All times: milliseconds since 1970, clock of this host. */
export interface Interruption {
  since: number;
  /** What broke. */
  reason: string;
  attempts: number;
  /** Why the last attempt came to nothing; before the first, undefined. */
  lastError: string | undefined;
  /** When the next attempt begins; undefined while one is under way. */
  nextTryAt: number | undefined;
}

/** What of a control channel a source uses. */
export type Control = Pick<
  ControlConnection,
  | 'on'
  | 'off'
  | 'send'
  | 'ping'
  | 'caughtUp'
  | 'close'
  | 'open'
  | 'remote'
  | 'version'
  | 'bytesSent'
  | 'roundTripMicros'
  | 'bearLongSilence'
>;

export interface Met {
  control: Control;
  generation: number;
  standing: Standing;
}

type Connect = (...where: Parameters<typeof connectControl>) => Promise<Control>;

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** A link that held for so long is looked for at once when it breaks again. */
const HELD_MS = 10_000;

export class Reunion {
  readonly #id: Uint8Array;
  readonly #connect: Connect;
  #generation = 0;
  #pauseMs = 0;
  #metAt = -Infinity;
  #since: number | undefined;
  #hurry: () => void = () => {};

  constructor(id: Uint8Array, connect: Connect) {
    this.#id = id;
    this.#connect = connect;
  }

  /** Resolves when the ends have met; rejects only when `signal` is aborted. `tell`: of each step. */
  async meet(
    reason: string,
    dialer: () => Dialer,
    tell: (interruption: Interruption) => void,
    signal: AbortSignal,
  ): Promise<Met> {
    this.#since ??= Date.now();
    const interruption: Interruption = {
      ...{ since: this.#since, reason, attempts: 0 },
      ...{ lastError: undefined, nextTryAt: undefined },
    };
    if (native.monotonicMicros() - this.#metAt > HELD_MS * 1000) this.#pauseMs = 0;
    for (;;) {
      if (this.#pauseMs > 0) {
        interruption.nextTryAt = Date.now() + this.#pauseMs;
        tell({ ...interruption });
        await this.#pause(signal);
      }
      signal.throwIfAborted();
      interruption.nextTryAt = undefined;
      interruption.attempts++;
      tell({ ...interruption });
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, 2 * this.#pauseMs));
      try {
        return await this.#try(dialer(), signal);
      } catch (error) {
        signal.throwIfAborted();
        interruption.lastError = describeError(error);
      }
    }
  }

  /** The ends have met, and the pages go on their way. */
  over(): void {
    this.#since = undefined;
    this.#metAt = native.monotonicMicros();
  }

  /** Ends the pause before the next attempt. */
  hurry(): void {
    this.#hurry();
  }

  async #try(dialer: Dialer, signal: AbortSignal): Promise<Met> {
    const generation = ++this.#generation;
    const control = await this.#connect(dialer, this.#id, signal, PROTOCOL_VERSION, generation);
    try {
      return { control, generation, standing: await standingOf(control, dialer.peer, signal) };
    } catch (error) {
      control.close();
      throw error;
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const hurried = new AbortController();
    this.#hurry = () => hurried.abort();
    await delay(this.#pauseMs, undefined, { signal: AbortSignal.any([signal, hurried.signal]) }).catch(() => {});
    this.#hurry = () => {};
  }
}

/** The first thing that a destination says on a connection of a later generation. */
async function standingOf(control: Control, peer: string, signal: AbortSignal): Promise<Standing> {
  let stop = () => {};
  const said = new Promise<Standing>((resolve, reject) => {
    const onMessage = (message: Message) => {
      if (message.type === 'standing') resolve(message.body);
      else reject(new PostcopyError('BAD_PEER', `${peer} sent ${message.type} where it should say what it is`));
    };
    control.on('message', onMessage);
    control.on('broken', reject);
    stop = () => {
      control.off('message', onMessage);
      control.off('broken', reject);
      reject(new Error('nobody waits for it')); // ends the limit
    };
  });
  const tooLate = () => {
    throw new PostcopyError('UNREACHABLE', `${peer} did not say within ${ANSWER_TIMEOUT_MS / 1000} s what it is`);
  };
  try {
    return await whileWanted(signal, within(said, ANSWER_TIMEOUT_MS, tooLate));
  } finally {
    stop();
  }
}
