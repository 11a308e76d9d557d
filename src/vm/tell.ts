/** What is told of a step in a VM's life. */
import type { Told } from '../watch/events.js';
import { peerOf, type Event, type State } from './holdings.js';
import { shown, type Loss, type SendResult } from './life.js';
import { heldProblem } from './migration-problems.js';
import { notAwaitedText } from './over.js';
import { awaitsOf, problemOf, problemOfOver } from './status.js';

/** `event` is undefined if the step was asked for. */
export function toldOf(name: string, before: State, event: Event | undefined, after: State): Told[] {
  return [...toldOfEvent(name, before, event, after), ...toldOfState(before, after)];
}

function toldOfEvent(name: string, before: State, event: Event | undefined, after: State): Told[] {
  // A VM that has ended has said its last.
  if (event === undefined || before.type === 'ended') return [];
  switch (event.type) {
    case 'not-taken':
      return before.type === 'incoming' ? [notTaken(before.peer, event)] : [];
    case 'arrived':
      return before.type === 'incoming' ? [{ type: 'arrived', peer: before.peer, paused: event.paused }] : [];
    case 'whole':
      return [{ type: 'whole', peer: peerOf(before) ?? 'the other host' }];
    case 'broken-off':
      return toldOfLoss(name, before, event.loss, after);
    case 'held':
      return [{ type: 'problem', ...heldProblem(name, event.reason) }];
    case 'sent':
      return 'send' in before ? toldOfSent(name, before, event.result, after) : [];
    case 'disks-taken':
      return before.type === 'retaking' ? [{ type: 'disks-back' }] : [];
    case 'gone-on':
      return before.type === 'settling' ? [{ type: 'doubt-settled', peer: before.peer }] : [];
    case 'disk-stopped':
      return before === after ? [] : [{ type: 'problem', ...event.problem }];
    case 'guest-over':
    case 'machine-failed':
      return toldOfOver(before, event, after);
    default:
      return [];
  }
}

function notTaken(peer: string, { reasons, refused, facts }: Event & { type: 'not-taken' }): Told {
  return refused ? { type: 'refused', peer, reasons, facts } : { type: 'not-begun', peer, reason: reasons.join('; ') };
}

function toldOfLoss(name: string, before: State, loss: Loss, after: State): Told[] {
  if (before.type === 'ending' && loss.while === 'arriving') {
    return [{ type: 'not-awaited', text: notAwaitedText(before.over, loss.pagesMissing, loss.peer, loss.reason) }];
  }
  return after.type === 'lost' ? toldOfLost(name, after) : [];
}

function toldOfLost(name: string, after: State): Told[] {
  const problem = problemOf(name, after);
  return problem === undefined ? [] : [{ type: 'lost', ...problem }];
}

function toldOfSent(
  name: string,
  { held, paused }: Pick<Extract<State, { send: unknown }>, 'held' | 'paused'>,
  result: SendResult,
  after: State,
): Told[] {
  switch (result.status) {
    case 'completed':
      return [{ type: 'completed', peer: result.peer }];
    case 'failed': {
      const { peer, reason } = result;
      const { text, facts } = reason;
      const state = paused || held !== undefined ? 'paused' : 'running';
      return [{ type: 'migration-failed', peer, state, reason: text, facts }];
    }
    case 'tried':
      return [];
    case 'link-lost':
      return toldOfLost(name, after);
  }
}

function toldOfOver(before: State, { over }: Event & { type: 'guest-over' | 'machine-failed' }, after: State): Told[] {
  if (before === after) return [];
  if (after.type === 'ending') return [{ type: 'awaits', text: awaitsOf(after) ?? over.what }];
  return after.type === 'away' || after.type === 'lost' ? [{ type: 'problem', ...problemOfOver(over) }] : [];
}

function toldOfState(before: State, after: State): Told[] {
  const told: Told[] = [];
  if (after.type === 'restarting' && before.type !== 'restarting') {
    told.push({ type: 'guest-reset', source: after.source });
  }
  if (after.type === 'away' && before.type === 'leaving' && after.over !== undefined) {
    // What was to end the guest here came too late for that.
    told.push({ type: 'problem', ...problemOfOver(after.over) });
  }
  if (shown(before) !== shown(after)) told.push({ type: 'state', state: shown(after) });
  if (after.type === 'ended' && before.type !== 'ended') {
    const { reason, message, code } = after.end;
    told.push({ type: 'ended', reason, message, ...(code === undefined ? {} : { code }) });
  }
  return told;
}
