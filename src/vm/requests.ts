/** What may be asked of a VM in which state of its life (life.ts), and why not: pure as that is. */
import { cutShort, end, shown, stays, to, type Living, type State, type Step, type Things } from './life.js';
import type { Final, Over } from './over.js';

export type Request<T extends Things> =
  | { type: 'pause' }
  /** `force`: also one of which only the peer knows whether it runs there. `now`: monotonicMicros(). */
  | { type: 'resume'; force: boolean; now: number }
  /** `wait`: if it is still arriving, until all of it is here. */
  | { type: 'migrate'; order: T['order']; wait: boolean }
  /** `why`: what the migration fails with. */
  | { type: 'cancel'; why: string }
  /** To look for the peer of a migration whose link is broken; `address`: if it is elsewhere by now. */
  | { type: 'recover'; address: T['address'] | undefined }
  /** Bytes per second that a migration may send at most; undefined: any. */
  | { type: 'limit'; bandwidth: number | undefined }
  /** How many pages the guest writes. */
  | { type: 'measure' }
  /** Without `force` the guest is asked. */
  | { type: 'stop'; force: boolean; over: Final };

export type Refusal =
  | { reason: 'needs'; state: 'running' | 'paused' }
  | { reason: 'starting-again' }
  /** The guest is over, and its last pages are awaited. */
  | { reason: 'is-over' }
  | { reason: 'still-arriving' }
  /** Another host has had its disks: it is to be resumed first, which takes them back. */
  | { reason: 'without-disks' }
  | { reason: 'runs-there' }
  | { reason: 'not-migrating' }
  | { reason: 'not-interrupted' }
  /** The peer may run the guest for so many milliseconds more without having said so. */
  | { reason: 'may-run-there'; waitMs: number }
  /** It is too late to cancel the migration. */
  | { reason: 'handed-over' }
  /** There is no guest that can react to its power button. */
  | { reason: 'cannot-react' }
  /** Of a guest that is to go on by force. `over`: what happened to its machine here. */
  | { reason: 'not-whole'; over: Over | undefined };

export type Answer<T extends Things> =
  | { type: 'granted'; step: Step<T> }
  /** Granted if the state is `until` once while that is carried out; else to be asked again. */
  | { type: 'wait'; step: Step<T>; until: Living<T>['type'] | 'ended' }
  /** To be asked again when the state has changed. */
  | { type: 'later' }
  | { type: 'refused'; refusal: Refusal };

export function ask<T extends Things>(state: State<T>, request: Request<T>): Answer<T> {
  switch (request.type) {
    case 'pause':
      return pause(state);
    case 'resume':
      return request.force ? resumeByForce(state, request.now) : resume(state);
    case 'migrate':
      return migrate(state, request.order, request.wait);
    case 'cancel':
      return cancel(state, request.why);
    case 'recover':
      return recover(state, request.address);
    case 'limit':
      return limit(state, request.bandwidth);
    case 'measure':
      return measure(state);
    case 'stop':
      return request.force ? cutPower(state, request.over) : stop(state, request.over);
  }
}

function pause<T extends Things>(state: State<T>): Answer<T> {
  switch (state.type) {
    case 'paused':
    case 'retaking':
      return granted(stays(state));
    case 'running':
      return wait('paused', to({ ...state, type: 'pausing' }, { type: 'park', guest: state.guest, asked: true }));
    case 'pausing':
      return { type: 'later' };
    default:
      return needs(state, 'running');
  }
}

function resume<T extends Things>(state: State<T>): Answer<T> {
  switch (state.type) {
    case 'running':
      return granted(stays(state));
    case 'pausing':
    case 'retaking':
      return { type: 'later' };
    case 'paused':
      return state.held === undefined ? granted(unpark(state)) : wait('running', retake(state.guest, state.held));
    case 'restarting':
      return state.shown === 'running' ? granted(stays(state)) : needs(state, 'paused');
    default:
      return needs(state, 'paused');
  }
}

function unpark<T extends Things>({ guest, arrival }: Living<T> & { type: 'paused' }): Step<T> {
  return to({ type: 'running', guest, arrival, problem: undefined }, { type: 'unpark', guest });
}

function retake<T extends Things>(guest: T['guest'], held: Error): Step<T> {
  return to({ type: 'retaking', guest, held }, { type: 'take-disks', guest });
}

/** Somebody answers for it that the peer has not run the guest, and never will. */
function resumeByForce<T extends Things>(state: State<T>, now: number): Answer<T> {
  switch (state.type) {
    case 'away': {
      const { broken, send, over } = state;
      if (broken === undefined) return resume(state);
      if (broken.ranThere) return refused({ reason: 'not-whole', over });
      const waitMs = (broken.takeBackFrom - now) / 1000;
      if (waitMs > 0) return refused({ reason: 'may-run-there', waitMs });
      return wait('running', stays(state, { type: 'give-up', send, why: 'the guest is taken back by force' }));
    }
    case 'inDoubt':
      return wait('running', to({ ...state, type: 'settling' }, { type: 'take-disks', guest: state.guest }));
    case 'settling':
      return { type: 'later' };
    case 'lost':
      return refused({ reason: 'not-whole', over: state.over });
    default:
      return resume(state);
  }
}

function migrate<T extends Things>(state: State<T>, order: T['order'], wait: boolean): Answer<T> {
  switch (state.type) {
    case 'running':
    case 'paused': {
      if (state.arrival !== undefined) return wait ? { type: 'later' } : refused({ reason: 'still-arriving' });
      const paused = state.type === 'paused';
      if (paused && state.held !== undefined) return refused({ reason: 'without-disks' });
      return granted(stays(state, { type: 'send', guest: state.guest, order, paused }));
    }
    case 'pausing':
    case 'retaking':
      return { type: 'later' };
    default:
      return needs(state, 'running');
  }
}

function cancel<T extends Things>(state: State<T>, why: string): Answer<T> {
  switch (state.type) {
    case 'leaving':
      return granted(stays(state, { type: 'cancel', send: state.send, why }));
    case 'away':
      return refused({ reason: 'handed-over' });
    default:
      return refused({ reason: 'not-migrating' });
  }
}

function recover<T extends Things>(state: State<T>, address: T['address'] | undefined): Answer<T> {
  if (state.type !== 'away' || state.broken === undefined) return refused({ reason: 'not-interrupted' });
  return granted(stays(state, { type: 'look-again', send: state.send, address }));
}

function limit<T extends Things>(state: State<T>, bandwidth: number | undefined): Answer<T> {
  if (state.type !== 'leaving' && state.type !== 'away') return refused({ reason: 'not-migrating' });
  return granted(stays(state, { type: 'limit', send: state.send, bandwidth }));
}

function measure<T extends Things>(state: State<T>): Answer<T> {
  switch (state.type) {
    case 'running':
    case 'paused':
      return state.arrival === undefined ? granted(stays(state)) : refused({ reason: 'still-arriving' });
    case 'pausing':
    case 'retaking':
      return { type: 'later' };
    default:
      return needs(state, 'running');
  }
}

function stop<T extends Things>(state: State<T>, over: Final): Answer<T> {
  switch (state.type) {
    case 'starting':
    case 'waiting':
      // There is no guest to ask.
      return granted(end(state, over.end));
    case 'pausing':
      return { type: 'later' };
    case 'away':
      return refused({ reason: 'runs-there' });
    case 'ending':
      return state.over.again ? refused({ reason: 'is-over' }) : granted(stays(state));
    case 'paused':
    case 'retaking':
    case 'incoming':
    case 'inDoubt':
    case 'settling':
    case 'lost':
      return refused({ reason: 'cannot-react' });
    case 'restarting':
      return shown(state) === 'paused' ? refused({ reason: 'cannot-react' }) : granted(stays(state));
    case 'leaving':
      return state.paused ? refused({ reason: 'cannot-react' }) : granted(stays(state));
    case 'running':
    case 'ended':
      return granted(stays(state));
  }
}

function cutPower<T extends Things>(state: State<T>, over: Final): Answer<T> {
  switch (state.type) {
    case 'away':
      if (state.broken === undefined) return refused({ reason: 'runs-there' });
      return wait('ended', stays(state, { type: 'give-up', send: state.send, why: over.why }));
    case 'leaving': {
      const { state: next, actions } = cutShort(state, over);
      return wait('ended', to(next, ...actions, { type: 'limit-cancel', send: state.send, end: over.end }));
    }
    case 'ended':
      return granted(stays(state));
    default:
      return granted(end(state, over.end));
  }
}

function needs<T extends Things>(state: State<T>, needed: 'running' | 'paused'): Answer<T> {
  if (state.type === 'restarting') return refused({ reason: 'starting-again' });
  if (state.type === 'ending') return refused({ reason: 'is-over' });
  return refused({ reason: 'needs', state: needed });
}

function granted<T extends Things>(step: Step<T>): Answer<T> {
  return { type: 'granted', step };
}

function wait<T extends Things>(until: Living<T>['type'] | 'ended', step: Step<T>): Answer<T> {
  return { type: 'wait', step, until };
}

function refused<T extends Things>(refusal: Refusal): Answer<T> {
  return { type: 'refused', refusal };
}
