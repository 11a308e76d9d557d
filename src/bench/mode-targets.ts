/** What pre-copy, hybrid and a limited bandwidth set out to reach, and whether they did. */
import { against, byName, figure, fixed, type Limits, type Scenarios } from './judge.js';
import { BANDWIDTH, BANDWIDTH_CHANNELS, BANDWIDTH_RTT_MS, DOWNTIME_MS, MODE_LINKS } from './modes.js';
import type { Figures, ScenarioResult, Target } from './result.js';

const PRECOPY: Limits = { qemu: 1, 'qemu-multifd': 1 };
const HYBRID: Limits = { 'qemu-preempt': 1, qemu: 1 };

/** Lower is better for all of them. */
const FIELDS = {
  waited: 'stalledMs',
  'longest stall': 'longestStallMs',
  standstill: 'standstillMs',
  'bytes on the wire': 'interfaceBytes',
  'total time': 'totalMs',
} satisfies Record<string, keyof Figures>;

export function evaluateModeTargets(results: ScenarioResult[]): Target[] {
  const scenarios = byName(results);
  const compared = (name: string, title: string, limits: Limits, fields: (keyof typeof FIELDS)[]) =>
    fields.flatMap((field) => against(scenarios, name, FIELDS[field], `${title}: ${field}`, limits));
  return [
    ...MODE_LINKS.flatMap((link) => [
      fixed(`pre-copy, ${link}: downtime`, figure(scenarios, `pre-copy-${link}`, 'ownDowntimeMs'), DOWNTIME_MS, 'ms'),
      ...compared(`pre-copy-${link}`, `pre-copy, ${link}`, PRECOPY, ['total time', 'bytes on the wire']),
    ]),
    fixed('too fast, cancel: guests that moved', endedAs(scenarios, 'busy-cancel', 0), 0, 'runs'),
    fixed('too fast, post-copy: guests that stayed', endedAs(scenarios, 'busy-post-copy', 1), 0, 'runs'),
    fixed('too fast, stop: guests that stayed', endedAs(scenarios, 'busy-stop', 1), 0, 'runs'),
    ...MODE_LINKS.flatMap((link) => [
      ...compared(
        `hybrid-${link}`,
        `hybrid, hot/cold, ${link}`,
        HYBRID,
        Object.keys(FIELDS) as (keyof typeof FIELDS)[],
      ),
      fixed(`hybrid, hot/cold, ${link}: waited, against post-copy`, ofPostcopy(scenarios, link), 1 / 4, 'ratio'),
    ]),
    ...BANDWIDTH_CHANNELS.flatMap((channels) => {
      const name = `bandwidth-${channels}`;
      const title = `bandwidth, ${channels} channels`;
      return [
        fixed(`${title}: off the limit`, offTheLimit(scenarios, name), 5, '%'),
        fixed(`${title}: fault wait, p99`, roundTrips(scenarios, name), 2, 'round trips'),
      ];
    }),
  ];
}

/** Runs of postcopy that failed, or ended otherwise than with `moved`. */
function endedAs(scenarios: Scenarios, name: string, moved: number): number | undefined {
  const { runs = [], failed = [] } = scenarios.get(name) ?? {};
  const mine = runs.filter(({ system }) => system === 'postcopy');
  const lost = failed.filter(({ system }) => system === 'postcopy').length;
  if (mine.length + lost === 0) return undefined;
  return lost + mine.filter(({ figures }) => figures.moved !== moved).length;
}

function ofPostcopy(scenarios: Scenarios, link: string): number | undefined {
  const [hybrid, postcopy] = ['hybrid', 'post-copy'].map((mode) => figure(scenarios, `${mode}-${link}`, 'stalledMs'));
  return hybrid === undefined || postcopy === undefined || postcopy === 0 ? undefined : hybrid / postcopy;
}

function offTheLimit(scenarios: Scenarios, name: string): number | undefined {
  const rate = figure(scenarios, name, 'steadyRate');
  return rate === undefined ? undefined : Math.abs(rate / BANDWIDTH - 1) * 100;
}

function roundTrips(scenarios: Scenarios, name: string): number | undefined {
  const us = figure(scenarios, name, 'faultWaitP99Us');
  return us === undefined ? undefined : us / 1000 / BANDWIDTH_RTT_MS;
}
