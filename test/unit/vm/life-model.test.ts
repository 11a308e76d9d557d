/** Lives of a VM in which anything happens, and anything is asked, in any order: what must hold in all of them. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { shown, step, type Action, type State, type Step } from '../../../src/vm/life.js';
import { ask } from '../../../src/vm/requests.js';
import { EVENTS, GUEST, REQUESTS, STATES, type EventName, type Names, type RequestName } from './lives.js';

type Name = EventName | RequestName;

interface Turn {
  name: Name;
  before: State<Names>;
  after: State<Names>;
  actions: Action<Names>[];
}

const NAMES = [...Object.keys(EVENTS), ...Object.keys(REQUESTS)] as Name[];
const FIRST: State<Names> = STATES.starting;

/** Where the peer may run the guest. */
const THEIRS: ReadonlySet<string> = new Set(['away', 'inDoubt', 'settling', 'lost']);
/** With these the guest runs here, or is about to. */
const RUNS: ReadonlySet<string> = new Set(['start', 'unpark', 'go-on', 'restart', 'send']);

function turnOf(before: State<Names>, name: Name): Turn {
  const { state: after, actions } = nextOf(before, name);
  return { name, before, after, actions };
}

function nextOf(state: State<Names>, name: Name): Step<Names> {
  // One guest is as good as another here; the table has what a stranger's events do.
  if (name === 'booted') return step(state, { type: 'booted', guest: GUEST });
  if (!isRequest(name)) return step(state, EVENTS[name]);
  const answer = ask(state, REQUESTS[name]);
  return answer.type === 'granted' || answer.type === 'wait' ? answer.step : { state, actions: [] };
}

function isRequest(name: Name): name is RequestName {
  return name in REQUESTS;
}

function live(names: Name[], check: (turn: Turn) => void): State<Names> {
  let state: State<Names> = FIRST;
  for (const name of names) {
    const turn = turnOf(state, name);
    check(turn);
    state = turn.after;
  }
  return state;
}

/** Most of what can happen changes nothing, and much of the rest is the end: what leads on is tried more often. */
const lives = fc.array(fc.tuple(fc.nat(3), fc.nat(1 << 20)), { maxLength: 40 }).map((choices) => {
  const names: Name[] = [];
  let state: State<Names> = FIRST;
  for (const [wild, choice] of choices) {
    const leadOn = NAMES.filter((name) => {
      const { before, after } = turnOf(state, name);
      return after !== before && after.type !== 'ended';
    });
    const from = wild === 0 || leadOn.length === 0 ? NAMES : leadOn;
    const name = from[choice % from.length] ?? 'whole';
    names.push(name);
    state = turnOf(state, name).after;
  }
  return names;
});

function always(check: (turn: Turn) => void): void {
  fc.assert(
    fc.property(lives, (names) => void live(names, check)),
    { numRuns: 2000 },
  );
}

/** All states that any order of events and requests leads to. */
function reachable(): State<Names>[] {
  const found = new Map([[textOf(FIRST), FIRST]]);
  for (const state of found.values()) {
    for (const name of NAMES) {
      const { after } = turnOf(state, name);
      if (!found.has(textOf(after))) found.set(textOf(after), after);
    }
  }
  return [...found.values()];
}

function textOf(state: State<Names>): string {
  return JSON.stringify(state, (_, value: unknown) => (value instanceof Error ? value.message : value));
}

it('every state is come to', () => {
  const types = (states: State<Names>[]): string[] => [...new Set(states.map(({ type }) => type))].sort();
  expect(types(reachable())).toEqual(types(Object.values(STATES)));
});

it('never two owners: what was handed over runs here again only if it is given back, or somebody answers for it', () => {
  always(({ name, before, after, actions }) => {
    if (!THEIRS.has(before.type)) return;
    const settles = before.type === 'settling';
    for (const { type } of actions)
      expect(RUNS.has(type) && !(settles && type === 'go-on') && name !== 'sent, failed').toBe(false);
    if (THEIRS.has(after.type) || after.type === 'ended') return;
    expect(before.type === 'away' ? name : `${before.type}: ${name}`).toBe(
      settles ? 'settling: gone-on' : 'sent, failed',
    );
  });
});

it('by force alone a guest in doubt goes on, and none that the peer has run', () => {
  always(({ name, before, after }) => {
    if (after.type === 'settling' && before.type !== 'settling') {
      expect([before.type, name]).toEqual(['inDoubt', expect.stringMatching(/^resume --force/)]);
    }
    if (before.type === 'lost') expect(['lost', 'ended']).toContain(after.type);
  });
});

it('what is handed over is kept until its migration is over, whatever is asked', () => {
  always(({ name, before, after }) => {
    if (before.type === 'away' && after.type !== 'away') expect(name).toMatch(/^sent, /);
  });
});

it('a VM that has ended does nothing, and is torn down once', () => {
  fc.assert(
    fc.property(lives, (names) => {
      let tornDown = 0;
      const last = live(names, ({ before, after, actions }) => {
        tornDown += actions.filter(({ type }) => type === 'tear-down').length;
        if (before.type !== 'ended') return;
        expect(after).toBe(before);
        for (const { type } of actions) expect(type).toBe('discard');
      });
      expect(tornDown).toBe(last.type === 'ended' ? 1 : 0);
    }),
    { numRuns: 2000 },
  );
});

it('stop --force ends every state but that in which the peer still needs the memory', () => {
  always(({ after }) => {
    const asked = ask(after, REQUESTS['stop --force']);
    if (asked.type === 'refused') return expect(shown(after)).toBe('handed-over');
    if (asked.type === 'later') throw new Error('stop --force waits for something else');
    // A migration is cancelled first, or it comes too late for that.
    const { state } = asked.step;
    // One whose link is broken gives the peer up first, and is asked again.
    const given =
      state.type === 'away' ? ask(step(state, EVENTS['sent, lost']).state, REQUESTS['stop --force']) : asked;
    const next = 'step' in given ? given.step.state : state;
    const last = next.type === 'leaving' ? step(next, EVENTS['cancel-late']).state : next;
    expect(last.type).toBe('ended');
  });
});

it('a guest whose pages still arrive is neither sent on nor booted again', () => {
  always(({ before, after, actions }) => {
    if (!('arrival' in before) || before.arrival === undefined) return;
    expect(after.type).not.toBe('leaving');
    const over = before.type === 'ending' && after.type === 'restarting';
    expect(actions.some(({ type }) => type === 'restart' || type === 'send')).toBe(over);
  });
});

it('whoever is asked to wait is asked again: nothing waits for ever in a state that nothing leaves', () => {
  always(({ after }) => {
    for (const request of Object.values(REQUESTS)) {
      // Pages come, or do not any more.
      const comes = request.type === 'migrate' && request.wait && 'arrival' in after && after.arrival !== undefined;
      if (ask(after, request).type === 'later' && !comes)
        expect(['pausing', 'retaking', 'settling']).toContain(after.type);
    }
  });
});
