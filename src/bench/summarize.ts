/** A scenario's runs, each system's figures over its rounds. */
import type { Figures, RunResult, ScenarioResult, Summary } from './result.js';
import { spread } from './statistics.js';
import { SYSTEMS } from './system.js';

export function summarizeRuns(runs: RunResult[]): ScenarioResult['summaries'] {
  const summaries: ScenarioResult['summaries'] = {};
  for (const system of SYSTEMS) {
    const figures = runs.filter((run) => run.system === system).map((run) => run.figures);
    if (figures.length > 0) summaries[system] = summarizeFigures(figures);
  }
  return summaries;
}

/** What TLS makes of a figure: its median against that of plain; undefined if one of them is missing, or plain's is 0. */
export function priceOfTls(summaries: ScenarioResult['summaries'], field: keyof Figures): number | undefined {
  const [plain, secured] = [summaries.postcopy?.[field]?.median, summaries['postcopy-tls']?.[field]?.median];
  return plain === undefined || plain === 0 || secured === undefined ? undefined : secured / plain;
}

function summarizeFigures(figures: Figures[]): Summary {
  const summary: Summary = {};
  for (const name of new Set(figures.flatMap((one) => Object.keys(one) as (keyof Figures)[]))) {
    const values = figures.map((one) => one[name]).filter((value) => value !== undefined);
    summary[name] = spread(values);
  }
  return summary;
}
