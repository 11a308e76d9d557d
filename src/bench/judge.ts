/** How a target is judged: a median against another system's, or against a fixed limit. */
import type { Figures, ScenarioResult, Target } from './result.js';
import type { QemuName, SystemName } from './system.js';

export type Scenarios = Map<string, ScenarioResult>;

export function byName(results: ScenarioResult[]): Scenarios {
  return new Map(results.map((result) => [result.name, result]));
}

export type Limits = Partial<Record<QemuName, number>>;

export function against(
  scenarios: Scenarios,
  name: string,
  field: keyof Figures,
  title: string,
  limits: Limits,
): Target[] {
  return (Object.keys(limits) as QemuName[]).map((other) => {
    const [mine, its] = [figure(scenarios, name, field), figure(scenarios, name, field, other)];
    // A peer without a single fault has no fault wait to compare with.
    const value = mine === undefined || its === undefined || its === 0 ? undefined : mine / its;
    const rounds = pairs(scenarios.get(name), field, other, limits[other]!);
    return judge({ title, against: other, value, limit: limits[other]!, unit: 'ratio', ...(rounds && { rounds }) });
  });
}

export function fixed(title: string, value: number | undefined, limit: number, unit: Target['unit']): Target {
  return judge({ title, against: 'fixed', value, limit, unit });
}

/** The rounds that both took part in; undefined without any. */
function pairs(scenario: ScenarioResult | undefined, field: keyof Figures, other: QemuName, limit: number) {
  const runs = scenario?.runs ?? [];
  const ratios = runs
    .filter(({ system }) => system === 'postcopy')
    .map(({ round, figures }) => {
      const its = runs.find((run) => run.system === other && run.round === round)?.figures[field];
      return its === undefined || its === 0 ? undefined : (figures[field] ?? NaN) / its;
    })
    .filter((ratio) => ratio !== undefined && !Number.isNaN(ratio)) as number[];
  if (ratios.length === 0) return undefined;
  return { within: ratios.filter((ratio) => ratio <= limit).length, of: ratios.length };
}

/** Without a value, neither met nor missed. */
function judge(target: Target): Target {
  return target.value === undefined ? target : { ...target, met: target.value <= target.limit };
}

export function figure(
  scenarios: Scenarios,
  name: string,
  field: keyof Figures,
  system: SystemName = 'postcopy',
): number | undefined {
  return scenarios.get(name)?.summaries[system]?.[field]?.median;
}
