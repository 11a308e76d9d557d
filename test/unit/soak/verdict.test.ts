/** What a run of the soak may end as: the table of postcopy-when-something-breaks(7). */
import { expect, test } from 'vitest';
import type { MessageType } from '../../../src/migrate/wire/message.js';
import type { Passed } from '../../soak/network.js';
import { mayEndAs } from '../../soak/verdict.js';

const STEPS = ['hello', 'accept', 'ram', 'state', 'loaded', 'commit', 'running', 'pushing', 'complete', 'bye'] as const;

/** All messages up to `sent` were sent, all up to `arrived` have arrived; without, the last one was lost. */
function passed(sent: MessageType, facts: Partial<Passed> = {}, arrives = true): Passed {
  const upTo = STEPS.slice(0, STEPS.indexOf(sent as (typeof STEPS)[number]) + 1);
  const arrived = arrives ? upTo : upTo.slice(0, -1);
  return {
    ...{ sent: new Set(upTo), arrived: new Set(arrived) },
    ...{ toldRuns: arrived.includes('running'), toldKnown: arrived.includes('pushing'), saidNeverRan: false },
    ...facts,
  };
}

function lost(sent: MessageType, facts: Partial<Passed> = {}): Passed {
  return passed(sent, facts, false);
}

test('both ends live: before COMMIT the guest stays, once it ran it moves, in between either', () => {
  for (const step of ['hello', 'accept', 'ram', 'state', 'loaded'] as const) {
    expect(mayEndAs(passed(step), undefined)).toEqual(['stayed']);
  }
  expect(mayEndAs(passed('commit'), undefined)).toEqual(['moved', 'stayed']);
  expect(mayEndAs(lost('commit'), undefined)).toEqual(['moved', 'stayed']);
  expect(mayEndAs(lost('running'), undefined)).toEqual(['moved']);
  expect(mayEndAs(passed('bye'), undefined)).toEqual(['moved']);
});

test('the source is dead', () => {
  expect(mayEndAs(passed('loaded'), 'source')).toEqual(['gone with its source']);
  expect(mayEndAs(lost('commit'), 'source')).toEqual(['gone with its source']);
  expect(mayEndAs(passed('commit'), 'source')).toEqual(['halted', 'gone with its source']);
  expect(mayEndAs(passed('running'), 'source')).toEqual(['halted']);
  expect(mayEndAs(passed('pushing'), 'source')).toEqual(['moved', 'runs short']);
  expect(mayEndAs(lost('pushing', { toldKnown: true }), 'source')).toEqual(['moved', 'runs short']);
  expect(mayEndAs(lost('complete'), 'source')).toEqual(['moved']);
  expect(mayEndAs(lost('complete', { toldKnown: false }), 'source')).toEqual(['halted']);
});

test('the destination is dead', () => {
  expect(mayEndAs(passed('state'), 'destination')).toEqual(['stayed']);
  expect(mayEndAs(lost('loaded'), 'destination')).toEqual(['stayed']);
  expect(mayEndAs(passed('loaded'), 'destination')).toEqual(['taken back', 'stayed']);
  expect(mayEndAs(lost('commit'), 'destination')).toEqual(['taken back']);
  expect(mayEndAs(lost('running'), 'destination')).toEqual(['taken back']);
  expect(mayEndAs(lost('commit', { saidNeverRan: true }), 'destination')).toEqual(['taken back', 'stayed']);
  expect(mayEndAs(passed('running'), 'destination')).toEqual(['lost', 'gone with its destination']);
  expect(mayEndAs(lost('commit', { toldRuns: true }), 'destination')).toEqual(['lost', 'gone with its destination']);
  expect(mayEndAs(passed('complete'), 'destination')).toEqual(['lost', 'gone with its destination']);
  expect(mayEndAs(lost('bye'), 'destination')).toEqual(['gone with its destination']);
});
