/**
 * What happens to one migration of the soak, made from its seed: pure, and the same for the same seed, so that a run that
 * found something can be repeated.
 */
import { PREFETCH_POLICIES, type MigrationMode, type OnTimeout, type PrefetchName } from '../../src/migrate/options.js';
import type { MessageType } from '../../src/migrate/wire/message.js';
import type { End } from '../support/relay.js';
import { Dice } from './dice.js';

/** When a fault comes; of several, each waits for the one before. */
type Moment =
  | { at: 'message'; message: MessageType; when: 'before' | 'after' }
  /** So many bytes have passed on the bulk channels since the fault before. */
  | { at: 'pushed'; bytes: number }
  /** The same before the hand-over, in the modes with rounds. */
  | { at: 'copied'; bytes: number }
  /** The source has just connected again. */
  | { at: 'reconnect' };

/** Of the connections: all, or one channel. */
export type Hit = 'all' | 'control' | 'urgent' | 'bulk';

type Misfortune =
  /** A message that is just passing is lost with the connection. `ends`: which of them are told. */
  | { kind: 'reset'; hit: Hit; ends: End | 'both' }
  /** Nothing passes, in one direction or both, and then it does again. */
  | { kind: 'silence'; hit: Hit; to: End | 'both'; ms: number }
  /** A process stands still (SIGSTOP), and goes on. */
  | { kind: 'stop'; end: End; ms: number }
  /** A process is killed (SIGKILL); nothing passes from then on. */
  | { kind: 'kill'; end: End };

export type Fault = { moment: Moment } & Misfortune;

export interface Plan {
  seed: number;
  cpus: number;
  fillMib: number;
  pattern: string;
  /** Bulk channels. */
  channels: number;
  /** The VM has a disk, whose lock moves along. */
  disk: boolean;
  faults: Fault[];
  prefetch: PrefetchName;
  mode: MigrationMode;
  /** Of pre-copy. */
  onTimeout: OnTimeout;
}

/** In the order in which they pass. */
const BEFORE_COMMIT = ['hello', 'accept', 'ram', 'copying', 'state', 'loaded'] as const;
const HAND_OVER = ['commit', 'running', 'pushing'] as const;
const AT_THE_END = ['complete', 'bye'] as const;

/** Of a run, all together: longer than this, and a destination whose guest never ran may have ended unasked. */
export const QUIET_MS_MAX = 75_000;
/** What is pushed at least, by and large: the rest is asked for. */
const PUSHED_MIN = 4 << 20;
/** What is sent in rounds at least, by and large. */
const COPIED_MIN = 8 << 20;
/** Silence of which both ends take the link for broken. */
const BREAKS_MS = 10_000;

/** In a third of the runs pages cross before the hand-over as well. */
const MODES: readonly MigrationMode[] = ['post-copy', 'post-copy', 'post-copy', 'post-copy', 'hybrid', 'pre-copy'];

export function planOf(seed: number): Plan {
  const dice = new Dice(seed);
  const cpus = dice.pick([1, 1, 2]);
  const fillMib = dice.pick([16, 24, 40]);
  const pattern = dice.pick(['uniform', 'sequential', 'hotcold']);
  const channels = dice.pick([1, 1, 2, 4]);
  const disk = dice.chance(0.25);
  const mode = dice.pick(MODES);
  const faults = faultsOf(dice, mode);
  const prefetch = dice.pick(PREFETCH_POLICIES);
  const onTimeout = dice.pick<OnTimeout>(['post-copy', 'stop']);
  return { seed, cpus, fillMib, pattern, channels, disk, faults, prefetch, mode, onTimeout };
}

function faultsOf(dice: Dice, mode: MigrationMode): Fault[] {
  const count = dice.pick([1, 1, 1, 2, 2, 3, 4]);
  const kills = dice.chance(0.2);
  const faults: Fault[] = [];
  let quietMs = 0;
  for (let i = 0; i < count; i++) {
    const isLast = i === count - 1;
    const moment = i === 0 ? firstMoment(dice, isLast, mode) : laterMoment(dice, faults.some(breaks), isLast);
    // What breaks before COMMIT ends the migration: to get farther, the first of several is short there.
    const isEarly =
      moment.at === 'copied' ||
      (moment.at === 'message' && (BEFORE_COMMIT as readonly string[]).includes(moment.message));
    const what = kills && isLast ? killOf(dice) : misfortune(dice, QUIET_MS_MAX - quietMs, isEarly && !isLast);
    if ('ms' in what) quietMs += what.ms;
    faults.push({ moment, ...what });
  }
  return faults;
}

/** The ends have to meet again then. */
function breaks(fault: Fault): boolean {
  return fault.kind === 'reset' || ('ms' in fault && fault.ms > BREAKS_MS);
}

function firstMoment(dice: Dice, isLast: boolean, mode: MigrationMode): Moment {
  switch (dice.pick(['before', 'before', 'hand-over', 'hand-over', 'push', 'push', isLast ? 'end' : 'push'])) {
    case 'before':
      return beforeCommit(dice, mode);
    case 'hand-over':
      return message(dice, HAND_OVER);
    case 'push':
      return { at: 'pushed', bytes: dice.below(PUSHED_MIN) };
    default:
      return message(dice, AT_THE_END);
  }
}

function beforeCommit(dice: Dice, mode: MigrationMode): Moment {
  const others = mode === 'post-copy' ? 'copying' : 'ram';
  if (mode !== 'post-copy' && dice.chance(0.5)) return { at: 'copied', bytes: dice.below(COPIED_MIN) };
  return message(
    dice,
    BEFORE_COMMIT.filter((type) => type !== others),
  );
}

/** While the ends meet again, if they have to, or behind that. */
function laterMoment(dice: Dice, meet: boolean, isLast: boolean): Moment {
  const meeting = meet ? ['reconnect', 'meeting', 'meeting'] : ['push'];
  switch (dice.pick([...meeting, 'push', 'push', isLast ? 'end' : 'push'])) {
    case 'reconnect':
      return { at: 'reconnect' };
    case 'meeting':
      return message(dice, ['standing', 'pushing']);
    case 'push':
      return { at: 'pushed', bytes: dice.below(PUSHED_MIN / 4) };
    default:
      return message(dice, AT_THE_END);
  }
}

function message(dice: Dice, types: readonly MessageType[]): Moment {
  return { at: 'message', message: dice.pick(types), when: dice.pick(['before', 'after']) };
}

function misfortune(dice: Dice, msLeft: number, isShort: boolean): Misfortune {
  const kind = isShort ? dice.pick(['silence', 'stop']) : dice.pick(['reset', 'reset', 'silence', 'silence', 'stop']);
  const hit = dice.pick<Hit>(['all', 'all', 'control', 'urgent', 'bulk']);
  const side = dice.pick<End | 'both'>(['both', 'both', 'source', 'destination']);
  const end = dice.pick<End>(['source', 'destination']);
  const ms = Math.min(msLeft, isShort ? dice.between(1000, 2000) : duration(dice));
  switch (kind) {
    case 'reset':
      return { kind, hit, ends: side };
    case 'silence':
      return { kind, hit, to: side, ms };
    default:
      return { kind: 'stop', end, ms };
  }
}

/** Mostly short, so that many runs fit in a little time; some longer than every limit that there is. */
function duration(dice: Dice): number {
  const roll = dice.below(100);
  if (roll < 72) return dice.between(1000, 3000);
  return roll < 92 ? dice.between(3000, 13_000) : dice.between(13_000, 60_000);
}

function killOf(dice: Dice): Misfortune {
  return { kind: 'kill', end: dice.pick<End>(['source', 'destination']) };
}

/** In one line. */
export function planText({ seed, cpus, fillMib, pattern, channels, disk, faults, prefetch, ...plan }: Plan): string {
  const mode = plan.mode === 'pre-copy' ? `pre-copy, then ${plan.onTimeout}` : plan.mode;
  const guest = `${mode}, ${cpus} vCPU, ${fillMib} MiB ${pattern}, ${channels} bulk ${prefetch}${disk ? ', a disk' : ''}`;
  return `seed ${seed}: ${faults.map(faultText).join('; then ')} (${guest})`;
}

export function faultText({ moment, ...what }: Fault): string {
  return `${misfortuneText(what)} ${momentText(moment)}`;
}

function misfortuneText(what: Misfortune): string {
  switch (what.kind) {
    case 'reset':
      return `reset of ${what.hit}, told to ${what.ends}`;
    case 'silence':
      return `${what.ms} ms of silence of ${what.hit}, to ${what.to}`;
    case 'stop':
      return `${what.end} stopped for ${what.ms} ms`;
    case 'kill':
      return `${what.end} killed`;
  }
}

function momentText(moment: Moment): string {
  switch (moment.at) {
    case 'message':
      return `${moment.when} ${moment.message.toUpperCase()}`;
    case 'pushed':
      return `after ${moment.bytes} bytes pushed`;
    case 'copied':
      return `after ${moment.bytes} bytes of rounds`;
    case 'reconnect':
      return 'when the source connects again';
  }
}
