/** The state of a VM in the words of `postcopy status`. */
import type { MachineName } from '../configure/machine-setting.js';
import type { ProcessRights } from '../confine/process-rights.js';
import type { Problem } from '../errors.js';
import { VERSION } from '../version.js';
import { arrivalOf, guestOf, hostDevicesOf, lifeOf, peerOf, type State } from './holdings.js';
import { shown } from './life.js';
import { heldProblem, inDoubtProblem, lostWhileArriving, lostWhileLeaving } from './migration-problems.js';
import { awaitedText, messageOf, type Over } from './over.js';
import type { MigrationProgress } from '../watch/events.js';
import type { ArrivalProgress, VmStatus } from './service.js';

/** The VM apart from its state. */
export interface Identity {
  name: string;
  machine: MachineName;
  uptimeMs: number;
  rights: ProcessRights;
}

export function statusOf(identity: Identity, state: State): VmStatus {
  const { name, uptimeMs, rights } = identity;
  const { record, machine } = guestOf(state) ?? {};
  const devices = hostDevicesOf(state);
  return {
    name,
    pid: process.pid,
    version: VERSION,
    machine: identity.machine,
    state: shown(state),
    ...problemFields(problemOf(name, state)),
    ...given({ awaits: awaitsOf(state), panickedAt: machine?.devices.panickedAt }),
    ...given({ lostPages: machine?.lostPages.count || undefined }),
    memoryBytes: record?.plan.memoryBytes ?? 0,
    ...given({ cpu: record?.plan.cpu }),
    cpus: record?.plan.cpus ?? 0,
    uptimeMs,
    ...given({ listen: listenOf(state), peer: peerOf(state), migration: progressOf(state) }),
    ...given({ arrival: arrivalProgress(state), interruption: interruptionOf(state) }),
    ...{ disks: [], nets: [], ...devices?.status() },
    rights,
  };
}

/** What a person has to know, or to do, of a VM that is not as it should be. */
export function problemOf(name: string, state: State): Problem | undefined {
  const living = lifeOf(state);
  switch (living.type) {
    case 'running':
    case 'pausing':
    case 'restarting':
      return living.problem;
    case 'paused':
      return living.held === undefined ? living.problem : heldProblem(name, living.held);
    case 'retaking':
      return heldProblem(name, living.held);
    case 'away':
      return living.over && problemOfOver(living.over);
    case 'inDoubt':
    case 'settling':
      return inDoubtProblem(name, living.peer, living.reason);
    case 'lost':
      return lossOf(name, living);
    default:
      return undefined;
  }
}

export function problemOfOver(over: Over): Problem {
  return { text: messageOf(over), facts: over.again ? [] : (over.end.facts ?? []) };
}

function lossOf(name: string, { loss, over }: State & { type: 'lost' }): Problem {
  const { text, facts } =
    loss.while === 'leaving'
      ? lostWhileLeaving(name, loss.peer, loss.reason)
      : lostWhileArriving(name, loss.peer, loss.pagesMissing, loss.reason);
  if (over === undefined) return { text, facts };
  const also = problemOfOver(over);
  return { text: `${text}. ${also.text}`, facts: [...facts, ...also.facts] };
}

function problemFields(problem: Problem | undefined): Pick<VmStatus, 'problem' | 'facts'> {
  if (problem === undefined) return {};
  return { problem: problem.text, ...(problem.facts.length === 0 ? {} : { facts: problem.facts }) };
}

/** What has to come before the VM is over, or its guest starts again. */
export function awaitsOf(state: State): string | undefined {
  if (state.type !== 'ending') return undefined;
  return awaitedText(state.over, state.arrival.pagesMissing, peerOf(state));
}

function listenOf(state: State): string | undefined {
  return arrivalOf(state)?.listen ?? guestOf(state)?.from?.listen;
}

function progressOf(state: State): MigrationProgress | undefined {
  return 'send' in state ? state.send.vm.progress() : undefined;
}

/** Of a guest that is here, perhaps over, with pages still to come. */
function arrivalProgress(state: State): ArrivalProgress | undefined {
  const isHere = state.type === 'running' || state.type === 'pausing' || state.type === 'paused';
  return isHere || state.type === 'ending' ? state.arrival?.progress : undefined;
}

/** A part of its memory is nowhere any more once it is stopped by force, or is nowhere already. */
export function isLost(state: State): boolean {
  return state.type === 'lost' || interruptionOf(state) !== undefined;
}

/** What is known of a link that is broken. */
function interruptionOf(state: State): VmStatus['interruption'] {
  if (state.type === 'away' && state.broken !== undefined) {
    const { interruption } = state.send.vm;
    const { pagesLeft, faultsWaiting } = state.send.vm.progress();
    if (interruption === undefined) return undefined;
    const { since, reason, attempts, lastError, nextTryAt } = interruption;
    return {
      ...{ since, reason, pagesMissing: pagesLeft, faultsWaiting, attempts },
      ...given({ lastError, nextTryAt }),
    };
  }
  const arrival = arrivalOf(state);
  if (state.type === 'lost' || arrival?.interruption === undefined) return undefined;
  return { ...arrival.interruption, pagesMissing: arrival.pagesMissing, faultsWaiting: arrival.faultsWaiting };
}

/** The fields that are not undefined. */
function given<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
