/** What many runs of the soak have shown, in a few lines. */
import type { Fault } from './plan.js';
import type { Run } from './run.js';
import { OUTCOMES } from './verdict.js';

export function summaryText(runs: readonly Run[], seconds: number): string {
  const violations = runs.filter(({ violation }) => violation !== undefined);
  const outcomes = OUTCOMES.map((outcome) => [outcome, count(runs, (run) => run.outcome === outcome)] as const);
  const faults = countBy(runs.flatMap(({ fired }) => fired.map(kindOf)));
  const moments = countBy(runs.flatMap(({ fired }) => fired.map(momentOf)));
  const longest = Math.max(0, ...runs.map(({ interruptedMs }) => interruptedMs));
  return [
    `${runs.length} runs in ${seconds.toFixed(0)} s, ${violations.length} violations`,
    `outcomes: ${listed(outcomes.filter(([, times]) => times > 0))}`,
    `faults: ${listed(faults)}`,
    `moments: ${listed(moments)}`,
    `runs with more than one fault: ${count(runs, ({ fired }) => fired.length > 1)}, with none: ${count(runs, ({ fired }) => fired.length === 0)}`,
    `longest interruption: ${(longest / 1000).toFixed(1)} s`,
    ...violations.map(({ plan }) => `violation: seed ${plan.seed}`),
  ].join('\n');
}

function kindOf(fault: Fault): string {
  switch (fault.kind) {
    case 'reset':
      return `reset of ${fault.hit}${fault.ends === 'both' ? '' : ', one end'}`;
    case 'silence':
      return `silence of ${fault.hit}${fault.to === 'both' ? '' : ', one direction'}`;
    case 'stop':
      return `${fault.end} stopped`;
    case 'kill':
      return `${fault.end} killed`;
  }
}

function momentOf({ moment }: Fault): string {
  return moment.at === 'message' ? moment.message : moment.at;
}

function count(runs: readonly Run[], is: (run: Run) => boolean): number {
  return runs.filter(is).length;
}

function countBy(names: readonly string[]): (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
}

function listed(counts: readonly (readonly [string, number])[]): string {
  return counts.map(([name, times]) => `${times} ${name}`).join(', ');
}
