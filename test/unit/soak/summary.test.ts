import { expect, test } from 'vitest';
import { planOf, type Fault } from '../../soak/plan.js';
import type { Run } from '../../soak/run.js';
import { summaryText } from '../../soak/summary.js';

const CUT: Fault = {
  moment: { at: 'message', message: 'state', when: 'before' },
  kind: 'reset',
  hit: 'all',
  ends: 'both',
};
const QUIET: Fault = { moment: { at: 'reconnect' }, kind: 'silence', hit: 'bulk', to: 'source', ms: 1000 };

function ended(seed: number, end: Partial<Run>): Run {
  const none = { fired: [], outcome: undefined, interruptedMs: 0, seconds: 1, violation: undefined };
  return { plan: planOf(seed), ...none, ...end };
}

test('counts of outcomes, of faults and of their moments, the longest interruption, and who is to be looked at', () => {
  const runs = [
    ended(3, { outcome: 'stayed', fired: [CUT] }),
    ended(4, { outcome: 'moved', fired: [CUT, QUIET], interruptedMs: 12_345 }),
    ended(5, { violation: 'it ran twice' }),
  ];
  expect(summaryText(runs, 61).split('\n')).toEqual([
    '3 runs in 61 s, 1 violations',
    'outcomes: 1 moved, 1 stayed',
    'faults: 2 reset of all, 1 silence of bulk, one direction',
    'moments: 1 reconnect, 2 state',
    'runs with more than one fault: 1, with none: 1',
    'longest interruption: 12.3 s',
    'violation: seed 5',
  ]);
});
