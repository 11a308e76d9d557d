/** What somebody is told who asks a VM for what it cannot do. */
import { PostcopyError, type Problem } from '../errors.js';
import { formatDuration, formatSize } from '../basics/units.js';
import { arrivalOf, peerOf, type Holdings, type State } from './holdings.js';
import { shown } from './life.js';
import { messageOf } from './over.js';
import type { Refusal, Request } from './requests.js';
import { cannotReact } from './shut-down.js';
import { awaitsOf } from './status.js';

type Asked = Request<Holdings>['type'];

const WISHES: Record<Asked, string> = {
  pause: 'paused',
  resume: 'resumed',
  migrate: 'migrated',
  stop: 'stopped',
  cancel: 'kept',
  recover: 'recovered',
  limit: 'limited',
  measure: 'measured',
};

export function refusalError(name: string, state: State, asked: Asked, refusal: Refusal): PostcopyError {
  const { text, facts } = problemOfRefusal(name, state, asked, refusal);
  return new PostcopyError('WRONG_STATE', text, undefined, facts);
}

/** Of a migration that nobody wants any more. */
export const CANCELLED = 'it was cancelled';

function problemOfRefusal(name: string, state: State, asked: Asked, refusal: Refusal): Problem {
  if (refusal.reason === 'is-over' && asked === 'stop') return noStop(name, state, ', or try again then');
  const reaction =
    refusal.reason === 'cannot-react' && cannotReact(name, shown(state), peerOf(state) ?? 'the other host');
  const facts = refusal.reason === 'still-arriving' ? [{ kind: refusal.reason }] : [];
  return reaction || { text: refusalText(name, state, asked, refusal), facts };
}

/** What is still to come of a VM, and how long that takes. */
function restText(state: State): string {
  const progress = arrivalOf(state)?.progress;
  if (progress === undefined) return 'not all of it is here';
  const { bytesMissing, leftMs } = progress;
  const when = leftMs === undefined ? 'and nothing comes now' : `which take about ${formatDuration(leftMs)}`;
  return `${formatSize(bytesMissing)} of its memory are still there, ${when}`;
}

function refusalText(name: string, state: State, asked: Asked, refusal: Refusal): string {
  const peer = peerOf(state) ?? 'the other host';
  switch (refusal.reason) {
    case 'needs':
      return `${name} is ${shown(state)}: only a VM that is ${refusal.state} can be ${WISHES[asked]}`;
    case 'starting-again':
      return `the guest of ${name} is just starting again: try again in a moment`;
    case 'is-over':
      return `${name} cannot be ${WISHES[asked]}: ${awaitsOf(state)}`;
    case 'still-arriving':
      return `${name} is still arriving from ${peer}: ${restText(state)}`;
    case 'without-disks':
      return `${name} cannot be migrated: another host has had its disks. Resume it first, which takes them back`;
    case 'runs-there':
      return `${name} runs at ${peer}, which still pulls its memory from here: to end this process now would destroy it`;
    case 'not-migrating':
      return `${name} is not migrating`;
    case 'not-interrupted':
      return `${name} has no migration whose link is broken: there is nothing to recover`;
    case 'may-run-there':
      return (
        `${peer} may run ${name} for another ${Math.ceil(refusal.waitMs / 1000)} s without having said so: try again then, ` +
        'and only if it is gone for good'
      );
    case 'handed-over':
      return `${name} has been handed over already, and cannot be kept here`;
    case 'cannot-react':
      return `${name} has no guest that can react: cut its power`;
    case 'not-whole': {
      const why = 'what it has here is not whole: the other host has run it, or has not sent all of it';
      return `${name} cannot go on here: ${refusal.over === undefined ? why : messageOf(refusal.over)}`;
    }
  }
}

/** Of a guest that is over, and reacts to nothing any more. */
function noStop(name: string, state: State, advice: string): Problem {
  const text = `${awaitsOf(state)}; its power can be cut at once${advice}`;
  return { text, facts: [{ kind: 'can-be-cut', name }] };
}

/** The guest is over, and what it awaits has not come in time. */
export function noStopError(name: string, ending: State): PostcopyError {
  const { text, facts } = noStop(name, ending, '');
  return new PostcopyError('WRONG_STATE', text, undefined, facts);
}
