import { describe, expect, test } from 'vitest';
import { escapeHtml, jsonForScript } from '../../../src/bench/report/escape.js';
import { formatSpread, formatTargetLimit, formatTargetValue } from '../../../src/bench/report/format.js';
import { htmlReport } from '../../../src/bench/report/html-report.js';
import { mergeHistograms, scenarioPlots } from '../../../src/bench/report/plot-data.js';
import { textReport } from '../../../src/bench/report/text-report.js';
import type { BenchResult } from '../../../src/bench/result.js';
import { evaluateTargets } from '../../../src/bench/targets.js';
import { fakeScenario } from './fake-scenario.js';

const NASTY = '</script><script>alert("x")</script> & <b>';

function result(title = 'Loopback'): BenchResult {
  const scenarios = [fakeScenario(title)];
  return {
    version: 1,
    startedAt: '2026-01-02T03:04:05.000Z',
    host: {
      ...{
        machine: 'kvm' as const,
        kernel: '6.1',
        cpu: `CPU ${NASTY}`,
        cores: 2,
        memoryBytes: 1,
        kvmModules: ['kvm', 'kvm_amd'],
        qemu: 'QEMU 7.2',
      },
      ...{ transparentHugePages: 'madvise', memoryMeter: 'cgroup-v2' as const, node: 'v20', postcopy: '0.1.0' },
    },
    options: { rounds: 1, systems: ['postcopy', 'qemu'] },
    scenarios,
    targets: evaluateTargets(scenarios),
  };
}

test('text is escaped', () => {
  expect(escapeHtml(`<a href="x">'&'</a>`)).toBe('&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;');
});

test('data cannot end their script element, and are the same when read', () => {
  const json = jsonForScript({ text: `${NASTY}<!--` });
  expect(json).not.toContain('<');
  expect(JSON.parse(json)).toEqual({ text: `${NASTY}<!--` });
});

describe('the HTML report', () => {
  const html = htmlReport(result(NASTY));

  test('needs nothing from elsewhere', () => {
    expect(html).not.toMatch(/(src|href)\s*=/i);
    expect(html).not.toContain('@import');
    expect(html).toContain('uPlot');
  });

  test('shows text as text', () => {
    expect(html).not.toContain('<script>alert');
    expect(html.match(/<script/g)).toHaveLength(3);
  });

  test('has a place for every plot, and tells what failed', () => {
    const data = JSON.parse(/id="plot-data">(.*?)<\/script>/s.exec(html)![1]!);
    expect(data).toHaveLength(3);
    expect(html.match(/data-plot="/g)).toHaveLength(3);
    expect(html).toContain('FAILED: qemu, round 2');
  });
});

test('the text report has every figure, failure and target', () => {
  const text = textReport(result());
  expect(text).toContain('Loopback');
  expect(text).toMatch(/total time +200 ms +900 ms/);
  expect(text).toContain('FAILED: qemu, round 2: it broke');
  expect(text).toMatch(/total time +vs QEMU without +1\/4.5 +<= 1\/4 +met/);
  expect(text).toMatch(/longest stall the guest felt +vs QEMU without +1\/5.0 +<= 1\/10 +MISSED/);
  expect(text).toMatch(/warm page +not measured +<= 5 ms +-/);
});

test('TLS has its price beside it', () => {
  const whole = result();
  const { summaries } = whole.scenarios[0]!;
  const { postcopy } = summaries;
  const twice = { ...postcopy!.totalMs!, median: 2 * postcopy!.totalMs!.median };
  summaries['postcopy-tls'] = { ...postcopy, totalMs: twice };
  const text = textReport(whole);
  expect(text).toContain('TLS, of plain');
  expect(text).toMatch(/total time +200 ms +400 ms .* 2\.00 x/);
  expect(text).toMatch(/longest stall +10\.0 ms +10\.0 ms .* 1\.00 x/);
  expect(textReport(result())).not.toContain('TLS');
});

test('the result survives as JSON', () => {
  const whole = result();
  expect(JSON.parse(JSON.stringify(whole))).toEqual(whole);
});

describe('plots', () => {
  const plots = scenarioPlots(fakeScenario('x'));

  test('have a line for each system', () => {
    for (const { systems, x, y } of plots) {
      expect(systems).toEqual(['postcopy', 'qemu']);
      expect(y).toHaveLength(2);
      for (const line of y) expect(line).toHaveLength(x.length);
    }
  });

  test('show speed in percent of before', () => expect(plots[0]!.y[0]!.slice(0, 3)).toEqual([100, 0, 50]));

  test('are none without runs', () => expect(scenarioPlots({ ...fakeScenario('x'), runs: [] })).toEqual([]));

  test('add histograms up', () => {
    expect(mergeHistograms([[[2, 1], [8, 3]], [[4, 5], [8, 1]]])).toEqual([[2, 1], [4, 5], [8, 4]]); // prettier-ignore
  });
});

test('figures read well', () => {
  expect(formatSpread(undefined, 'ms')).toBe('-');
  expect(formatSpread({ median: 12.34, min: 9.876, max: 123.4, count: 5 }, 'ms')).toBe('12.3 ms (9.88-123)');
  expect(formatSpread({ median: 1.00449, min: 1, max: 1, count: 1 }, 'times')).toBe('1.004 x');
  const target = { title: '', against: 'qemu', value: 0.1, limit: 1 / 20, unit: 'ratio' } as const;
  expect(formatTargetValue(target)).toBe('1/10.0');
  expect(formatTargetLimit(target)).toBe('<= 1/20');
  expect(formatTargetValue({ ...target, value: 1.25 })).toBe('1.25');
});
