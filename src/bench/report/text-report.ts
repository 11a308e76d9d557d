/** The result as text: a table for each scenario, then the targets. */
import { formatTable } from '../../basics/table.js';
import {
  againstText,
  FIGURES,
  formatPrice,
  hostText,
  formatMet,
  formatSpread,
  formatTargetLimit,
  formatTargetValue,
} from './format.js';
import type { BenchResult, ScenarioResult, Target } from '../result.js';
import { priceOfTls } from '../summarize.js';
import { OWN_SYSTEMS, SYSTEMS } from '../system.js';

export function textReport({ host, scenarios, targets }: BenchResult): string {
  return [`Measured on ${hostText(host)}.`, ...scenarios.map(scenarioText), targetsText(targets)].join('\n');
}

function scenarioText(scenario: ScenarioResult): string {
  const systems = SYSTEMS.filter((system) => scenario.summaries[system] !== undefined);
  const isPriced = OWN_SYSTEMS.every((system) => systems.includes(system));
  const rows = FIGURES.map(({ field, label, kind }) => [
    label,
    ...systems.map((system) => formatSpread(scenario.summaries[system]![field], kind)),
    ...(isPriced ? [formatPrice(priceOfTls(scenario.summaries, field))] : []),
  ]);
  const failed = scenario.failed.map((run) => `FAILED: ${run.system}, round ${run.round}: ${run.message}\n`);
  return `\n${scenario.title}\n${formatTable([['', ...systems, ...(isPriced ? ['TLS, of plain'] : [])], ...rows])}${failed.join('')}`;
}

export function targetsText(targets: Target[]): string {
  const rows = targets.map((target) => [
    target.title,
    againstText(target),
    formatTargetValue(target),
    formatTargetLimit(target),
    formatMet(target),
  ]);
  return `\nTargets\n${formatTable([['', '', 'measured', 'target', ''], ...rows])}`;
}
