/** The result as one HTML file that needs nothing else: plots by uPlot, whose code and style are put into it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { formatSize } from '../../basics/size.js';
import type { BenchResult, ScenarioResult, Target } from '../result.js';
import type { Spread } from '../statistics.js';
import { SYSTEMS } from '../system.js';
import { escapeHtml, jsonForScript } from './escape.js';
import {
  againstText,
  FIGURES,
  formatMet,
  formatSpread,
  formatTargetLimit,
  formatTargetValue,
  hostText,
  type FigureKind,
} from './format.js';
import { scenarioPlots, type Plot } from './plot-data.js';
import { SCRIPT } from './script.js';
import { STYLE } from './style.js';

export function htmlReport(result: BenchResult): string {
  const plots: Plot[] = [];
  const sections = result.scenarios.map((scenario) => scenarioSection(scenario, plots));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>postcopy bench</title>
<style>${uplotFile('uPlot.min.css')}${STYLE}</style>
</head>
<body>
<main>
<h1>postcopy bench</h1>
<p>${escapeHtml(hostText(result.host))}. ${escapeHtml(result.startedAt)}, rounds: ${result.options.rounds}; medians with
the smallest and the largest in brackets.</p>
${targetsTable(result.targets)}
${sections.join('\n')}
</main>
<script type="application/json" id="plot-data">${jsonForScript(plots)}</script>
<script>${uplotFile('uPlot.iife.min.js')}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function targetsTable(targets: Target[]): string {
  const rows = targets.map((target) => {
    const word = formatMet(target);
    const cells = [target.title, againstText(target), formatTargetValue(target), formatTargetLimit(target)];
    const verdict = target.met === undefined ? word : `<span class="${word.toLowerCase()}">${word}</span>`;
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}<td>${verdict}</td></tr>`;
  });
  return `<h2>Targets</h2>
<div class="scroll"><table>
<thead><tr><th>figure</th><th>against</th><th>measured</th><th>target</th><th></th></tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>`;
}

/** Appends the scenario's plots to those of the document. */
function scenarioSection(scenario: ScenarioResult, plots: Plot[]): string {
  const { workload, link } = scenario;
  const sizes = `${formatSize(workload.memoryBytes)} of RAM, ${formatSize(workload.workingSetBytes)} at work`;
  const about = `${sizes}, ${workload.cpus} vCPU, ${workload.pattern}; link: ${link}`;
  const places = scenarioPlots(scenario).map((plot) => {
    const index = plots.push(plot) - 1;
    return `<div class="plot"><h3>${escapeHtml(plot.title)}</h3><div data-plot="${index}"></div></div>`;
  });
  const failed = scenario.failed.map(
    (run) => `<p class="failed">FAILED: ${escapeHtml(`${run.system}, round ${run.round}: ${run.message}`)}</p>`,
  );
  return `<h2>${escapeHtml(scenario.title)}</h2>
<p>${escapeHtml(about)}</p>
${failed.join('\n')}
<div class="plots">${places.join('\n')}</div>
${figuresTable(scenario)}`;
}

function figuresTable({ summaries }: ScenarioResult): string {
  const systems = SYSTEMS.filter((system) => summaries[system] !== undefined);
  const rows = FIGURES.map(({ field, label, kind }) => {
    const cells = systems.map((system) => spreadCell(summaries[system]![field], kind));
    return `<tr><th>${escapeHtml(label)}</th>${cells.join('')}</tr>`;
  });
  const heads = systems.map((system) => `<th>${escapeHtml(system)}</th>`);
  return `<div class="scroll"><table>
<thead><tr><th></th>${heads.join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody>
</table></div>`;
}

function spreadCell(spread: Spread | undefined, kind: FigureKind): string {
  const [value, range] = formatSpread(spread, kind).split(' (');
  const more = range === undefined ? '' : ` <span class="range">(${escapeHtml(range)}</span>`;
  return `<td class="number">${escapeHtml(value!)}${more}</td>`;
}

function uplotFile(name: string): string {
  const main = createRequire(import.meta.url).resolve('uplot');
  return readFileSync(join(dirname(main), name), 'utf8');
}
