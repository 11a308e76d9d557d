/**
 * The life of a VM in one process as pure code: what happened in, the next state and what is to be done out. It knows no
 * machine, no socket and no clock, so that every order of events can be tested. requests.ts decides what may be asked in
 * which state; vm.ts carries both out.
 *
 *   starting ----------------------------> running <-> pausing -> paused -> running
 *      \                                    |   ^                   ^  \
 *    waiting <-> incoming -- arrived -------'   |    another host   |   retaking (its disks)
 *                 |    \                        |    had a disk     |      \
 *                lost  ended                    |  .----------------'      running, paused
 *                                               |  |
 *   running, paused -> leaving - - - - - - - - -+--+  failed: it stays here, as it was
 *                 \ commit                      |
 *                away --- given back - - - - - -'   its link may break and be mended any number of times
 *                / |  \
 *            ended | inDoubt <-> settling --> running (by force)
 *              lost <---'-----------' its machine here failed
 *
 *   running, pausing, paused -- its pages do not come --> lost
 *   running, pausing, paused, leaving, away given back -- the guest is over --> restarting --> running, or ended
 *        the same while pages still come --> ending -- nobody needs them --> restarting, ended
 *   any but away -- `stop --force` --> ended; leaving once the migration has been cancelled; away while its link is broken
 *        and somebody gives the peer up: then lost or inDoubt
 *
 * A guest runs in running, pausing (its vCPUs are about to park) and leaving, unless it was paused before that. In away it
 * runs at the peer, or stands still there, and what is here
 * may be the only copy of its memory: nothing but the end of that migration ends the VM here. In inDoubt only the peer
 * knows whether it runs there. In lost it never runs here again. Of a guest that is over, the first that was told counts.
 */
import type { Fact, Problem } from '../errors.js';
import type { VmState } from '../watch/events.js';
import type { Final, Over } from './over.js';
import type { VmEnd } from './service.js';

/** What states hold, of which nothing is known here but who it is. */
export interface Things {
  /** A machine, and what it takes to boot its guest again. */
  guest: unknown;
  /** A VM that comes from another host. */
  arrival: unknown;
  /** A migration to another host. */
  send: unknown;
  /** What was asked of a migration. */
  order: unknown;
  /** host and port */
  address: unknown;
}

/** The link of a migration broke behind COMMIT, and the ends look for each other. Times: monotonicMicros(). */
interface Broken {
  /** The peer has said that the guest runs there. */
  ranThere: boolean;
  /** From then on no peer runs the guest any more, unless it has said so. */
  takeBackFrom: number;
}

interface Here<T extends Things> {
  guest: T['guest'];
  /** Set while pages of the guest are still to come. */
  arrival: T['arrival'] | undefined;
  /** Why the last migration failed. */
  problem: Problem | undefined;
}

interface Send<T extends Things> {
  guest: T['guest'];
  send: T['send'];
  /** It moves paused, and is paused if it stays here. */
  paused: boolean;
  /** Why the guest cannot just go on if it stays here: another host has had a disk. */
  held: Error | undefined;
  /** Why the guest stops if it stays here. */
  stopped: Problem | undefined;
  /** What follows if the guest stays here. */
  over: Over | undefined;
  broken: Broken | undefined;
}

interface Doubt<T extends Things> {
  guest: T['guest'];
  peer: string;
  reason: string;
}

export type Loss =
  | { while: 'arriving'; peer: string; pagesMissing: number; reason: string }
  | { while: 'leaving'; peer: string; reason: string };

/** All states but the last. */
export type Living<T extends Things> =
  | { type: 'starting' }
  | { type: 'waiting'; arrival: T['arrival'] }
  | { type: 'incoming'; arrival: T['arrival']; peer: string }
  | ({ type: 'running' } & Here<T>)
  | ({ type: 'pausing' } & Here<T>)
  /** `held`: another host has had a disk, and may have written to it. */
  | ({ type: 'paused'; held: Error | undefined } & Here<T>)
  | { type: 'retaking'; guest: T['guest']; held: Error }
  | { type: 'ending'; guest: T['guest']; arrival: T['arrival']; over: Over }
  | ({ type: 'leaving' } & Send<T>)
  | ({ type: 'away' } & Send<T>)
  | ({ type: 'inDoubt' } & Doubt<T>)
  | ({ type: 'settling' } & Doubt<T>)
  /** `guest` is not set if it was lost before it was told of: its arrival has it. `over`: its machine here failed as well. */
  | {
      type: 'lost';
      guest: T['guest'] | undefined;
      arrival: T['arrival'] | undefined;
      loss: Loss;
      over: Over | undefined;
    }
  /** Between two machines; `guest` is the one before. `shown`: what the state is told as meanwhile. */
  | {
      type: 'restarting';
      guest: T['guest'];
      /** What asked for the reset. */
      source: string;
      shown: 'running' | 'paused' | 'ending';
      problem: Problem | undefined;
    };

type Ended<T extends Things> = {
  type: 'ended';
  end: VmEnd;
  /** What there was to be released. */ was: Living<T>;
};
export type State<T extends Things> = Living<T> | Ended<T>;

export type SendResult =
  | { status: 'completed'; peer: string; end: VmEnd }
  | { status: 'failed'; peer: string; reason: Problem }
  /** It was only tried whether it could move. */
  | { status: 'tried'; peer: string }
  | { status: 'link-lost'; peer: string; reason: string; inDoubt: boolean };

export type Event<T extends Things> =
  /** A guest has been booted, for the first time or again. */
  | { type: 'booted'; guest: T['guest'] }
  | { type: 'not-booted'; end: VmEnd }
  | { type: 'listens'; arrival: T['arrival'] }
  | { type: 'announced'; peer: string }
  /** The VM that was announced does not come: refused, or gone before anything was agreed. Another may come. */
  | { type: 'not-taken'; reasons: string[]; refused: boolean; facts: readonly Fact[] }
  /** `paused`: as it was at the source. */
  | { type: 'arrived'; guest: T['guest']; paused: boolean }
  /** All pages of the guest are here. */
  | { type: 'whole' }
  /** The rest of its pages does not come. */
  | { type: 'broken-off'; loss: Loss }
  /** No VM came, and none will. */
  | { type: 'not-come'; end: VmEnd }
  /** The host has failed a disk, and the guest is to stop until somebody has seen to it. */
  | { type: 'disk-stopped'; guest: T['guest']; problem: Problem }
  | { type: 'guest-over'; guest: T['guest']; over: Over }
  /** What serves the guest failed. */
  | { type: 'machine-failed'; guest: T['guest']; over: Final }
  | { type: 'parked'; guest: T['guest'] }
  | { type: 'not-parked'; guest: T['guest'] }
  /** The disks of the guest are this host's again. */
  | { type: 'disks-taken'; guest: T['guest'] }
  | { type: 'gone-on'; guest: T['guest'] }
  | { type: 'not-gone-on'; guest: T['guest'] }
  | { type: 'leaves'; guest: T['guest']; send: T['send'] }
  /** COMMIT is about to go out. */
  | { type: 'commit'; send: T['send'] }
  | { type: 'held'; send: T['send']; reason: Error }
  | { type: 'sent'; send: T['send']; result: SendResult }
  /** Of a migration behind COMMIT: its link broke, or `undefined`, the ends have met again. */
  | { type: 'link'; send: T['send']; broken: Broken | undefined }
  /** A migration cannot even be cancelled, and the VM is to end. */
  | { type: 'cancel-late'; send: T['send']; end: VmEnd };

export type Action<T extends Things> =
  /** The vCPUs of a fresh machine begin. */
  | { type: 'start'; guest: T['guest'] }
  /** A machine that came too late. */
  | { type: 'discard'; guest: T['guest'] }
  /** `asked`: somebody waits for it, and is told if it fails. */
  | { type: 'park'; guest: T['guest']; asked: boolean }
  | { type: 'unpark'; guest: T['guest'] }
  | { type: 'take-disks'; guest: T['guest'] }
  | { type: 'give-disks-up'; guest: T['guest'] }
  | { type: 'go-on'; guest: T['guest'] }
  /** What a peer may still say of the migrations so far is not for this guest. */
  | { type: 'new-epoch'; guest: T['guest'] }
  | { type: 'restart'; guest: T['guest'] }
  | { type: 'send'; guest: T['guest']; order: T['order']; paused: boolean }
  | { type: 'cancel'; send: T['send']; why: string }
  /** Looks for the peer at once, at that address if there is one. */
  | { type: 'look-again'; send: T['send']; address: T['address'] | undefined }
  | { type: 'limit'; send: T['send']; bandwidth: number | undefined }
  /** Nothing will be heard of the peer: resolves when the migration is over. */
  | { type: 'give-up'; send: T['send']; why: string }
  /** The guest is over: the rest of its pages need not come. */
  | { type: 'drop-rest'; guest: T['guest']; arrival: T['arrival'] }
  /** After `cancel`: the VM ends, if need be without its migration. */
  | { type: 'limit-cancel'; send: T['send']; end: VmEnd }
  | { type: 'tear-down'; was: Living<T>; end: VmEnd };

export interface Step<T extends Things> {
  state: State<T>;
  actions: Action<T>[];
}

/** What `postcopy status` shows. */
export function shown<T extends Things>(state: State<T>): VmState {
  switch (state.type) {
    case 'starting':
    case 'waiting':
      return 'waiting';
    case 'incoming':
    case 'paused':
    case 'ending':
    case 'running':
      return state.type;
    case 'pausing':
      return 'running';
    case 'retaking':
      return 'paused';
    case 'leaving':
      return 'migrating';
    case 'away':
      return state.broken === undefined ? 'handed-over' : 'interrupted';
    case 'inDoubt':
    case 'settling':
    case 'lost':
      return 'link-lost';
    case 'restarting':
      return state.shown;
    case 'ended':
      return shownEnd(state.end);
  }
}

function shownEnd({ reason }: VmEnd): VmState {
  return reason === 'failed' || reason === 'migrated' ? reason : 'stopped';
}

/** What happened in that state. An event that is of no guest, arrival or migration of the state changes nothing. */
export function step<T extends Things>(state: State<T>, event: Event<T>): Step<T> {
  if (state.type === 'ended') return event.type === 'booted' ? stays(state, discard(event)) : stays(state);
  switch (event.type) {
    case 'booted':
      return booted(state, event);
    case 'not-booted':
      return state.type === 'restarting' ? end(state, event.end) : stays(state);
    case 'listens':
      return state.type === 'starting' ? to({ type: 'waiting', arrival: event.arrival }) : stays(state);
    case 'announced':
      if (state.type !== 'waiting') return stays(state);
      return to({ type: 'incoming', arrival: state.arrival, peer: event.peer });
    case 'not-taken':
      return state.type === 'incoming' ? to({ type: 'waiting', arrival: state.arrival }) : stays(state);
    case 'arrived':
      return state.type === 'incoming' ? arrived(state, event) : stays(state);
    case 'whole':
      return whole(state);
    case 'broken-off':
      return brokenOff(state, event.loss);
    case 'not-come':
      return state.type === 'waiting' || state.type === 'incoming' ? end(state, event.end) : stays(state);
    case 'disk-stopped':
      return isOf(event.guest, state) ? diskStopped(state, event.problem) : stays(state);
    case 'guest-over':
      return isOf(event.guest, state) ? guestOver(state, event.over) : stays(state);
    case 'machine-failed':
      return isOf(event.guest, state) ? machineFailed(state, event.over) : stays(state);
    case 'parked':
      if (state.type !== 'pausing' || state.guest !== event.guest) return stays(state);
      return to({ ...state, type: 'paused', held: undefined });
    case 'not-parked':
      if (state.type !== 'pausing' || state.guest !== event.guest) return stays(state);
      return to({ ...state, type: 'running' });
    case 'disks-taken':
      return isOf(event.guest, state) ? disksTaken(state) : stays(state);
    case 'gone-on':
      return isOf(event.guest, state) ? goneOn(state) : stays(state);
    case 'not-gone-on':
      return isOf(event.guest, state) ? notGoneOn(state) : stays(state);
    case 'leaves':
      return isOf(event.guest, state) ? leaves(state, event.send) : stays(state);
    case 'commit':
      return state.type === 'leaving' && state.send === event.send ? commit(state) : stays(state);
    case 'held':
      return isSend(event.send, state) ? to({ ...state, held: event.reason }) : stays(state);
    case 'sent':
      return isSend(event.send, state) ? sent(state, event.result) : stays(state);
    case 'link':
      if (state.type !== 'away' || state.send !== event.send) return stays(state);
      return to({ ...state, broken: event.broken });
    case 'cancel-late':
      if (state.type !== 'leaving' || state.send !== event.send) return stays(state);
      return end(state, endOf(state.over) ?? event.end);
  }
}

export function stays<T extends Things>(state: State<T>, ...actions: Action<T>[]): Step<T> {
  return { state, actions };
}

export function to<T extends Things>(state: State<T>, ...actions: Action<T>[]): Step<T> {
  return { state, actions };
}

/** The one door to the end. */
export function end<T extends Things>(was: Living<T>, how: VmEnd): Step<T> {
  return to({ type: 'ended', end: how, was }, { type: 'tear-down', was, end: how });
}

/** A migration is to fail, because of what follows then. An end counts more than a new start; else the first counts. */
export function cutShort<T extends Things>(state: Living<T> & { type: 'leaving' }, over: Over): Step<T> {
  const follows = state.over === undefined || state.over.again ? over : state.over;
  return to({ ...state, over: follows }, { type: 'cancel', send: state.send, why: over.why });
}

type WithGuest<T extends Things> = Extract<Living<T>, { guest: unknown }>;
type Sending<T extends Things> = Extract<Living<T>, { send: unknown }>;

function isOf<T extends Things>(guest: T['guest'], state: Living<T>): state is WithGuest<T> {
  return 'guest' in state && state.guest !== undefined && state.guest === guest;
}

function isSend<T extends Things>(send: T['send'], state: Living<T>): state is Sending<T> {
  return 'send' in state && state.send === send;
}

function discard<T extends Things>({ guest }: { guest: T['guest'] }): Action<T> {
  return { type: 'discard', guest };
}

function booted<T extends Things>(state: Living<T>, event: { guest: T['guest'] }): Step<T> {
  if (state.type !== 'starting' && state.type !== 'restarting') return stays(state, discard(event));
  const problem = state.type === 'restarting' ? state.problem : undefined;
  const { guest } = event;
  return to({ type: 'running', guest, arrival: undefined, problem }, { type: 'start', guest });
}

function arrived<T extends Things>(
  { arrival }: Living<T> & { type: 'incoming' },
  { guest, paused }: { guest: T['guest']; paused: boolean },
): Step<T> {
  const here = { guest, arrival, problem: undefined };
  return to(paused ? { type: 'paused', ...here, held: undefined } : { type: 'running', ...here });
}

function leaves<T extends Things>(state: WithGuest<T>, send: T['send']): Step<T> {
  if ((state.type !== 'running' && state.type !== 'paused') || state.arrival !== undefined) return stays(state);
  if (state.type === 'paused' && state.held !== undefined) return stays(state);
  const { guest } = state;
  const paused = state.type === 'paused';
  const no = { held: undefined, stopped: undefined, over: undefined, broken: undefined };
  return to({ type: 'leaving', guest, send, paused, ...no });
}

function whole<T extends Things>(state: Living<T>): Step<T> {
  switch (state.type) {
    case 'running':
    case 'pausing':
    case 'paused':
      return to({ ...state, arrival: undefined });
    case 'ending':
      return follow(state, state.over);
    default:
      return stays(state);
  }
}

function brokenOff<T extends Things>(state: Living<T>, loss: Loss): Step<T> {
  switch (state.type) {
    case 'waiting':
    case 'incoming':
      return to({ type: 'lost', guest: undefined, arrival: state.arrival, loss, over: undefined });
    case 'running':
    case 'pausing':
    case 'paused':
      if (state.arrival === undefined) return stays(state);
      return to({ type: 'lost', guest: state.guest, arrival: undefined, loss, over: undefined });
    case 'ending':
      return follow(state, state.over);
    default:
      return stays(state);
  }
}

/**
 * A guest that leaves is not held up: what its disk has not done goes with it, and is begun anew where the guest goes on. So
 * it is in every state in which its devices go on later.
 */
function diskStopped<T extends Things>(state: WithGuest<T>, problem: Problem): Step<T> {
  switch (state.type) {
    case 'running':
      return to({ ...state, type: 'pausing', problem }, { type: 'park', guest: state.guest, asked: false });
    case 'pausing':
    case 'paused':
      return to({ ...state, problem });
    case 'leaving':
      return to({ ...state, stopped: problem });
    default:
      return stays(state);
  }
}

function guestOver<T extends Things>(state: WithGuest<T>, over: Over): Step<T> {
  switch (state.type) {
    case 'running':
    case 'pausing':
    case 'paused':
      // Page workers write into the RAM of its machine, and its devices may still wait for pages.
      if (state.arrival !== undefined) {
        const { guest, arrival } = state;
        return to({ type: 'ending', guest, arrival, over }, { type: 'drop-rest', guest, arrival });
      }
      return follow(state, over);
    case 'retaking':
      return follow(state, over);
    case 'leaving':
      return state.over === undefined ? cutShort(state, over) : stays(state);
    case 'ending':
    case 'restarting':
      return stays(state);
    default:
      return cannotRunHere(state, over);
  }
}

function machineFailed<T extends Things>(state: WithGuest<T>, over: Final): Step<T> {
  switch (state.type) {
    case 'running':
    case 'pausing':
    case 'paused':
    case 'retaking':
    case 'ending':
    case 'restarting':
      return end(state, over.end);
    case 'leaving':
      return cutShort(state, over);
    default:
      return cannotRunHere(state, over);
  }
}

/** This process holds what may be the only copy of the VM's memory: whatever happens to its machine, it stays. */
function cannotRunHere<T extends Things>(state: Extract<WithGuest<T>, { type: Away }>, over: Over): Step<T> {
  switch (state.type) {
    case 'away':
    case 'lost':
      return to({ ...state, over: state.over ?? over });
    case 'inDoubt':
    case 'settling':
      return to({ type: 'lost', guest: state.guest, arrival: undefined, loss: lossOf(state), over });
  }
}

type Away = 'away' | 'inDoubt' | 'settling' | 'lost';

function lossOf({ peer, reason }: { peer: string; reason: string }): Loss {
  return { while: 'leaving', peer, reason };
}

/** The VM ends, or its guest starts again. */
function follow<T extends Things>(state: WithGuest<T>, over: Over): Step<T> {
  if (!over.again) return end(state, over.end);
  const { guest } = state;
  const problem = 'problem' in state ? state.problem : undefined;
  const restarting = {
    type: 'restarting',
    guest,
    source: over.source,
    shown: shownRestarting(state),
    problem,
  } as const;
  return to(restarting, { type: 'restart', guest });
}

function shownRestarting<T extends Things>(state: WithGuest<T>): 'running' | 'paused' | 'ending' {
  const before = shown(state);
  return before === 'paused' || before === 'ending' ? before : 'running';
}

function disksTaken<T extends Things>(state: WithGuest<T>): Step<T> {
  if (state.type === 'retaking' || state.type === 'settling')
    return stays(state, { type: 'go-on', guest: state.guest });
  // Its machine has failed meanwhile.
  return state.type === 'lost' ? stays(state, { type: 'give-disks-up', guest: state.guest }) : stays(state);
}

function goneOn<T extends Things>(state: WithGuest<T>): Step<T> {
  const { guest } = state;
  const running = { type: 'running', guest, arrival: undefined, problem: undefined } as const;
  if (state.type === 'retaking') return to(running);
  return state.type === 'settling' ? to(running, { type: 'new-epoch', guest }) : stays(state);
}

function notGoneOn<T extends Things>(state: WithGuest<T>): Step<T> {
  const { guest } = state;
  if (state.type === 'settling') return to({ ...state, type: 'inDoubt' });
  if (state.type !== 'retaking') return stays(state);
  return to({ type: 'paused', guest, arrival: undefined, problem: undefined, held: state.held });
}

/** From here on the VM is the peer's. Whoever wanted to stop it here is told so. */
function commit<T extends Things>(state: Living<T> & { type: 'leaving' }): Step<T> {
  const over = endOf(state.over)?.reason === 'stopped' ? undefined : state.over;
  return to({ ...state, type: 'away', stopped: undefined, over });
}

function endOf(over: Over | undefined): VmEnd | undefined {
  return over === undefined || over.again ? undefined : over.end;
}

function sent<T extends Things>(state: Sending<T>, result: SendResult): Step<T> {
  switch (result.status) {
    case 'completed':
      return end(state, result.end);
    case 'failed':
      return remains(state, result.reason);
    case 'tried':
      return state.type === 'leaving' ? remains(state, undefined) : stays(state);
    case 'link-lost':
      return lostLeaving(state, result);
  }
}

/** It was not handed over, or was given back. */
function remains<T extends Things>(state: Sending<T>, reason: Problem | undefined): Step<T> {
  const { guest, paused, held, stopped, over } = state;
  if (over !== undefined) return follow(state, over);
  if (held !== undefined) return to({ type: 'paused', guest, arrival: undefined, problem: undefined, held });
  const here = { guest, arrival: undefined, problem: stopped ?? reason };
  if (paused) return to({ type: 'paused', ...here, held });
  if (stopped !== undefined) return to({ type: 'pausing', ...here }, { type: 'park', guest, asked: false });
  return to({ type: 'running', ...here });
}

function lostLeaving<T extends Things>(state: Sending<T>, result: SendResult & { status: 'link-lost' }): Step<T> {
  const { guest, over } = state;
  const { peer, reason } = result;
  if (result.inDoubt && over === undefined) return to({ type: 'inDoubt', guest, peer, reason });
  return to({ type: 'lost', guest, arrival: undefined, loss: lossOf(result), over });
}
