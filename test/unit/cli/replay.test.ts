import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runProgram } from '../../../src/cli/program.js';
import { PREFETCH_POLICIES } from '../../../src/migrate/options.js';
import { encodeTrace } from '../../../src/migrate/prefetch/trace.js';
import { madeUpTrace } from '../../../src/replay/made-up.js';
import { FakeOutput } from './fake-output.js';

const directory = mkdtempSync(join(tmpdir(), 'postcopy-replay-'));
const file = (name: string) => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

async function replay(...words: string[]) {
  const output = new FakeOutput();
  const code = await runProgram(['replay', ...words], output);
  return { code, ...output };
}

it('shows what each policy makes of a trace', async () => {
  const { code, stdout } = await replay('hot-cold', '--memory', '16M', '--vcpus', '2');
  expect(code).toBe(0);
  const lines = stdout.split('\n');
  expect(lines[0]).toMatch(/^hot-cold: \d+ touches of 2 vCPUs, in 16 MiB$/);
  expect(lines.slice(2).map((line) => line.split(/\s+/)[0])).toEqual([...PREFETCH_POLICIES, '']);
});

it('reads a trace from a file, and is the same as for what it was made of', async () => {
  writeFileSync(file('trace'), encodeTrace(madeUpTrace('streams', { pages: 4096 })));
  const words = ['--json', '--prefetch', 'auto,in-order', '--link', '10g,rtt=1', '--cpus', '8'];
  const [read, made] = [await replay(file('trace'), ...words), await replay('streams', '--memory', '16M', ...words)];
  const { outcomes, ...rest } = JSON.parse(read.stdout) as { outcomes: { prefetch: string; totalMs: number }[] };
  expect(rest).toEqual({ trace: file('trace'), link: '10g,rtt=1', cpus: 8 });
  expect(outcomes.map(({ prefetch }) => prefetch)).toEqual(['in-order', 'auto']);
  const ofMade = JSON.parse(made.stdout) as { outcomes: { totalMs: number }[] };
  outcomes.forEach(({ totalMs }, i) => expect(totalMs).toBeCloseTo(ofMade.outcomes[i]!.totalMs, 0));
});

it.each<[string, string[], RegExp]>([
  ['a trace that is not there', ['nowhere'], /nowhere is no trace that can be read, and none of uniform/],
  ['a file that is none', [file('text')], /does not begin as one/],
  ['a file of more than 2 GiB', [file('huge')], /longer than a trace/],
  ['an unknown policy', ['uniform', '--prefetch', 'magic'], /magic is none of in-order/],
  ['an unknown link', ['uniform', '--link', 'slow'], /'slow' is no link/],
  ['no CPU', ['uniform', '--cpus', '0'], /--cpus must be/],
  ['too many vCPUs', ['uniform', '--vcpus', '5000'], /--vcpus must be/],
  ['a seed that is no number', ['uniform', '--seed', 'x'], /--seed must be/],
  ['too much memory', ['uniform', '--memory', '2000G'], /--memory must be/],
  ['memory for a trace that has its own', [file('text'), '--memory', '1G'], /made up/],
])('refuses %s', async (_, words, why) => {
  writeFileSync(file('text'), 'no trace');
  writeFileSync(file('huge'), '');
  truncateSync(file('huge'), 2 ** 31);
  const { code, stderr } = await replay(...words);
  expect(code).toBe(2);
  expect(stderr).toMatch(why);
});
