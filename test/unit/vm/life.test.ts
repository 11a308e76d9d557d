/** Every event in every state of a VM's life, and everything that can be asked in it. */
import { expect, it } from 'vitest';
import { step, type State } from '../../../src/vm/life.js';
import { ask, type Answer, type Request } from '../../../src/vm/requests.js';
import {
  EVENTS,
  nameOf,
  REQUESTS,
  STATES,
  type EventName,
  type Names,
  type RequestName,
  type StateName,
} from './lives.js';

/** The next state, and what is done; an event that is not named changes nothing. */
const TABLE: Record<StateName, Partial<Record<EventName, string>>> = {
  starting: {
    booted: 'running: start',
    listens: 'waiting',
  },
  waiting: {
    booted: 'same: discard',
    announced: 'incoming',
    'broken-off': 'lost, unseen',
    'not-come': 'ended, failed: tear-down',
  },
  incoming: {
    booted: 'same: discard',
    'not-taken': 'waiting',
    arrived: 'running, arriving',
    'broken-off': 'lost, unseen',
    'not-come': 'ended, failed: tear-down',
  },
  running: {
    booted: 'same: discard',
    whole: 'running',
    off: 'ended, power-off: tear-down',
    reset: 'restarting: restart',
    'machine-failed': 'ended, failed: tear-down',
    leaves: 'leaving',
  },
  'running, arriving': {
    booted: 'same: discard',
    whole: 'running',
    'broken-off': 'lost',
    off: 'ending, power-off',
    reset: 'ending, reset',
    'machine-failed': 'ended, failed: tear-down',
  },
  pausing: {
    booted: 'same: discard',
    whole: 'pausing',
    off: 'ended, power-off: tear-down',
    reset: 'restarting: restart',
    'machine-failed': 'ended, failed: tear-down',
    parked: 'paused',
    'not-parked': 'running',
  },
  'pausing, arriving': {
    booted: 'same: discard',
    whole: 'pausing',
    'broken-off': 'lost',
    off: 'ending, power-off',
    reset: 'ending, reset',
    'machine-failed': 'ended, failed: tear-down',
    parked: 'paused, arriving',
    'not-parked': 'running, arriving',
  },
  paused: {
    booted: 'same: discard',
    whole: 'paused',
    off: 'ended, power-off: tear-down',
    reset: 'restarting, paused: restart',
    'machine-failed': 'ended, failed: tear-down',
  },
  'paused, arriving': {
    booted: 'same: discard',
    whole: 'paused',
    'broken-off': 'lost',
    off: 'ending, power-off',
    reset: 'ending, reset',
    'machine-failed': 'ended, failed: tear-down',
  },
  'paused, held': {
    booted: 'same: discard',
    whole: 'paused, held',
    off: 'ended, power-off: tear-down',
    reset: 'restarting, paused: restart',
    'machine-failed': 'ended, failed: tear-down',
  },
  retaking: {
    booted: 'same: discard',
    off: 'ended, power-off: tear-down',
    reset: 'restarting, paused: restart',
    'machine-failed': 'ended, failed: tear-down',
    'disks-taken': 'same: go-on',
    'gone-on': 'running',
    'not-gone-on': 'paused, held',
  },
  'ending, off': {
    booted: 'same: discard',
    whole: 'ended, power-off: tear-down',
    'broken-off': 'ended, power-off: tear-down',
    'machine-failed': 'ended, failed: tear-down',
  },
  'ending, again': {
    booted: 'same: discard',
    whole: 'restarting, ending: restart',
    'broken-off': 'restarting, ending: restart',
    'machine-failed': 'ended, failed: tear-down',
  },
  leaving: {
    booted: 'same: discard',
    off: 'leaving, power-off: cancel',
    reset: 'leaving, reset: cancel',
    'machine-failed': 'leaving, failed: cancel',
    commit: 'away',
    held: 'leaving, held',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'running, problem',
    'sent, lost': 'lost',
    'sent, in doubt': 'inDoubt',
    'cancel-late': 'ended, stopped: tear-down',
  },
  'leaving, held': {
    booted: 'same: discard',
    off: 'leaving, held, power-off: cancel',
    reset: 'leaving, held, reset: cancel',
    'machine-failed': 'leaving, held, failed: cancel',
    commit: 'away, held',
    held: 'leaving, held',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'paused, held',
    'sent, lost': 'lost',
    'sent, in doubt': 'inDoubt',
    'cancel-late': 'ended, stopped: tear-down',
  },
  'leaving, off': {
    booted: 'same: discard',
    'machine-failed': 'leaving, power-off: cancel',
    commit: 'away, power-off',
    held: 'leaving, held, power-off',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'ended, power-off: tear-down',
    'sent, lost': 'lost, power-off',
    'sent, in doubt': 'lost, power-off',
    'cancel-late': 'ended, power-off: tear-down',
  },
  'leaving, again': {
    booted: 'same: discard',
    'machine-failed': 'leaving, failed: cancel',
    commit: 'away, reset',
    held: 'leaving, held, reset',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'restarting: restart',
    'sent, lost': 'lost, reset',
    'sent, in doubt': 'lost, reset',
    'cancel-late': 'ended, stopped: tear-down',
  },
  'leaving, stopped': {
    booted: 'same: discard',
    'machine-failed': 'leaving, stopped: cancel',
    commit: 'away',
    held: 'leaving, held, stopped',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'ended, stopped: tear-down',
    'sent, lost': 'lost, stopped',
    'sent, in doubt': 'lost, stopped',
    'cancel-late': 'ended, stopped: tear-down',
  },
  away: {
    booted: 'same: discard',
    off: 'away, power-off',
    reset: 'away, reset',
    'machine-failed': 'away, failed',
    held: 'away, held',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'running, problem',
    'sent, lost': 'lost',
    'sent, in doubt': 'inDoubt',
  },
  'away, held': {
    booted: 'same: discard',
    off: 'away, held, power-off',
    reset: 'away, held, reset',
    'machine-failed': 'away, held, failed',
    held: 'away, held',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'paused, held',
    'sent, lost': 'lost',
    'sent, in doubt': 'inDoubt',
  },
  'away, failed': {
    booted: 'same: discard',
    off: 'away, failed',
    reset: 'away, failed',
    'machine-failed': 'away, failed',
    held: 'away, held, failed',
    'sent, completed': 'ended, migrated: tear-down',
    'sent, failed': 'ended, failed: tear-down',
    'sent, lost': 'lost, failed',
    'sent, in doubt': 'lost, failed',
  },
  inDoubt: {
    booted: 'same: discard',
    off: 'lost, power-off',
    reset: 'lost, reset',
    'machine-failed': 'lost, failed',
  },
  settling: {
    booted: 'same: discard',
    off: 'lost, power-off',
    reset: 'lost, reset',
    'machine-failed': 'lost, failed',
    'disks-taken': 'same: go-on',
    'gone-on': 'running: new-epoch',
    'not-gone-on': 'inDoubt',
  },
  lost: {
    booted: 'same: discard',
    off: 'lost, power-off',
    reset: 'lost, reset',
    'machine-failed': 'lost, failed',
    'disks-taken': 'same: give-disks-up',
  },
  'lost, failed': {
    booted: 'same: discard',
    off: 'lost, failed',
    reset: 'lost, failed',
    'machine-failed': 'lost, failed',
    'disks-taken': 'same: give-disks-up',
  },
  'lost, unseen': {
    booted: 'same: discard',
  },
  restarting: {
    booted: 'running: start',
    'not-booted': 'ended, failed: tear-down',
    'machine-failed': 'ended, failed: tear-down',
  },
  'restarting, paused': {
    booted: 'running: start',
    'not-booted': 'ended, failed: tear-down',
    'machine-failed': 'ended, failed: tear-down',
  },
  ended: {
    booted: 'same: discard',
  },
};

it.each(pairs(STATES, EVENTS))('%s; %s', (name, eventName) => {
  const state: State<Names> = STATES[name];
  const { state: next, actions } = step(state, EVENTS[eventName]);
  const done = actions.map(({ type }) => type).join(' ');
  const expected = TABLE[name][eventName];
  if (expected === undefined) return expect([next, done]).toEqual([state, '']);
  const nextName = next === state ? 'same' : nameOf(next);
  expect(done === '' ? nextName : `${nextName}: ${done}`).toBe(expected);
});

/** The answer; of one that is not refused the next state, and what is done. */
const ANSWERS: Record<StateName, Record<RequestName, string>> = {
  starting: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'granted: ended, stopped / tear-down',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  waiting: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'granted: ended, stopped / tear-down',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  incoming: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  running: {
    pause: 'wait: pausing / park',
    resume: 'granted: same',
    'resume --force': 'granted: same',
    migrate: 'granted: same / send',
    cancel: 'refused: not-migrating',
    stop: 'granted: same',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'running, arriving': {
    pause: 'wait: pausing, arriving / park',
    resume: 'granted: same',
    'resume --force': 'granted: same',
    migrate: 'refused: still-arriving',
    cancel: 'refused: not-migrating',
    stop: 'granted: same',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  pausing: {
    pause: 'later',
    resume: 'later',
    'resume --force': 'later',
    migrate: 'later',
    cancel: 'refused: not-migrating',
    stop: 'later',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'pausing, arriving': {
    pause: 'later',
    resume: 'later',
    'resume --force': 'later',
    migrate: 'later',
    cancel: 'refused: not-migrating',
    stop: 'later',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  paused: {
    pause: 'granted: same',
    resume: 'granted: running / unpark',
    'resume --force': 'granted: running / unpark',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'paused, arriving': {
    pause: 'granted: same',
    resume: 'granted: running, arriving / unpark',
    'resume --force': 'granted: running, arriving / unpark',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'paused, held': {
    pause: 'granted: same',
    resume: 'wait: retaking / take-disks',
    'resume --force': 'wait: retaking / take-disks',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  retaking: {
    pause: 'granted: same',
    resume: 'later',
    'resume --force': 'later',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'ending, off': {
    pause: 'refused: is-over',
    resume: 'refused: is-over',
    'resume --force': 'refused: is-over',
    migrate: 'refused: is-over',
    cancel: 'refused: not-migrating',
    stop: 'granted: same',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'ending, again': {
    pause: 'refused: is-over',
    resume: 'refused: is-over',
    'resume --force': 'refused: is-over',
    migrate: 'refused: is-over',
    cancel: 'refused: not-migrating',
    stop: 'refused: is-over',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  leaving: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'granted: same / cancel',
    stop: 'granted: same',
    'stop --force': 'wait: leaving, stopped / cancel limit-cancel',
  },
  'leaving, held': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'granted: same / cancel',
    stop: 'granted: same',
    'stop --force': 'wait: leaving, held, stopped / cancel limit-cancel',
  },
  'leaving, off': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'granted: same / cancel',
    stop: 'granted: same',
    'stop --force': 'wait: leaving, power-off / cancel limit-cancel',
  },
  'leaving, again': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'granted: same / cancel',
    stop: 'granted: same',
    'stop --force': 'wait: leaving, stopped / cancel limit-cancel',
  },
  'leaving, stopped': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'granted: same / cancel',
    stop: 'granted: same',
    'stop --force': 'wait: leaving, stopped / cancel limit-cancel',
  },
  away: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: handed-over',
    stop: 'refused: runs-there',
    'stop --force': 'refused: runs-there',
  },
  'away, held': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: handed-over',
    stop: 'refused: runs-there',
    'stop --force': 'refused: runs-there',
  },
  'away, failed': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: handed-over',
    stop: 'refused: runs-there',
    'stop --force': 'refused: runs-there',
  },
  inDoubt: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'wait: settling / take-disks',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  settling: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'later',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  lost: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: not-whole',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'lost, failed': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: not-whole',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'lost, unseen': {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: not-whole',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  restarting: {
    pause: 'refused: starting-again',
    resume: 'granted: same',
    'resume --force': 'granted: same',
    migrate: 'refused: starting-again',
    cancel: 'refused: not-migrating',
    stop: 'granted: same',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  'restarting, paused': {
    pause: 'refused: starting-again',
    resume: 'refused: starting-again',
    'resume --force': 'refused: starting-again',
    migrate: 'refused: starting-again',
    cancel: 'refused: not-migrating',
    stop: 'refused: cannot-react',
    'stop --force': 'granted: ended, stopped / tear-down',
  },
  ended: {
    pause: 'refused: needs running',
    resume: 'refused: needs paused',
    'resume --force': 'refused: needs paused',
    migrate: 'refused: needs running',
    cancel: 'refused: not-migrating',
    stop: 'granted: same',
    'stop --force': 'granted: same',
  },
};

it.each(pairs(STATES, REQUESTS))('%s; asked to %s', (name, requestName) => {
  const state: State<Names> = STATES[name];
  const request: Request<Names> = REQUESTS[requestName];
  expect(textOf(state, ask(state, request))).toBe(ANSWERS[name][requestName]);
});

function textOf(state: State<Names>, answer: Answer<Names>): string {
  if (answer.type === 'later') return 'later';
  if (answer.type === 'refused') {
    const { refusal } = answer;
    return `refused: ${refusal.reason}${refusal.reason === 'needs' ? ` ${refusal.state}` : ''}`;
  }
  const { state: next, actions } = answer.step;
  const nextName = next === state ? 'same' : nameOf(next);
  const done = actions.map(({ type }) => type).join(' ');
  return `${answer.type}: ${nextName}${done === '' ? '' : ` / ${done}`}`;
}

it('an event of another guest, or of another migration, changes nothing', () => {
  for (const state of Object.values<State<Names>>(STATES)) {
    for (const event of Object.values(EVENTS)) {
      if ('guest' in event && event.type !== 'booted' && event.type !== 'arrived') {
        expect(step(state, { ...event, guest: 'of before' }).state).toBe(state);
      }
      if ('send' in event && event.type !== 'leaves') {
        expect(step(state, { ...event, send: 'of before' }).state).toBe(state);
      }
    }
  }
});

function pairs<Row extends string, Column extends string>(
  rows: Record<Row, unknown>,
  columns: Record<Column, unknown>,
): [Row, Column][] {
  const names = Object.keys(columns) as Column[];
  return (Object.keys(rows) as Row[]).flatMap((row) => names.map((column): [Row, Column] => [row, column]));
}
