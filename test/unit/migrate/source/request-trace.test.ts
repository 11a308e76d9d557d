import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { FaultTrail } from '../../../../src/migrate/prefetch/fault-trail.js';
import { decodeTrace, type TraceHead } from '../../../../src/migrate/prefetch/trace.js';
import { RequestTrace } from '../../../../src/migrate/source/request-trace.js';

const HEAD: TraceHead = { kind: 'requests', pages: 100_000, vcpus: 1, extents: Uint32Array.of(0, 100_000) };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-trace-'));
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});
const file = () => join(directory, 'trace');

it('has what was asked for, from the first request on, and who else may read it is its owner only', async () => {
  const trail = new FaultTrail();
  trail.add(70_000, 2 ** 32 - 100);
  const trace = new RequestTrace(file(), trail, Promise.resolve(HEAD));
  trace.note();
  trail.add(3, 2 ** 32 + 400);
  trail.add(4, 2 ** 32 + 401);
  trace.note();
  trail.add(99_999, 2 ** 32 + 500);
  await trace.end();
  expect(decodeTrace(readFileSync(file()))).toEqual({
    ...HEAD,
    times: Float64Array.of(0, 500, 501, 600),
    vcpuOf: new Uint16Array(4),
    pageOf: Uint32Array.of(70_000, 3, 4, 99_999),
  });
  expect([statSync(file()).mode & 0o777, trace.left]).toEqual([0o600, 0]);
});

it('leaves out what came too fast, and what a file does not take in time', async () => {
  const trail = new FaultTrail();
  const trace = new RequestTrace(file(), trail, Promise.resolve(HEAD));
  const ROUNDS = 80;
  // Nothing is written before this turn of the event loop is over.
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < 20_000; i++) trail.add(i, round * 1e6 + i);
    trace.note();
  }
  const { left } = trace;
  expect(left).toBeGreaterThan(ROUNDS * (20_000 - (1 << 14)));
  await trace.end();
  expect(decodeTrace(readFileSync(file())).times).toHaveLength(ROUNDS * 20_000 - left);
});

it.each<[string, () => [path: string, head: Promise<TraceHead>]]>([
  ['a place that is not there', () => [join(directory, 'none', 'trace'), Promise.resolve(HEAD)]],
  ['a file that is full', () => ['/dev/full', Promise.resolve(HEAD)]],
  ['a pipe that nobody reads', () => [pipe(), Promise.resolve(HEAD)]],
  ['not knowing where data is', () => [file(), Promise.reject(new Error('no such call'))]],
  ['neither', () => [join(directory, 'none', 'trace'), Promise.reject(new Error('no such call'))]],
])('ends well with %s', async (_, made) => {
  const trail = new FaultTrail();
  const [path, head] = made();
  const trace = new RequestTrace(path, trail, head);
  trail.add(1, 1);
  trace.note();
  await new Promise((resolve) => setTimeout(resolve, 10));
  trail.add(2, 2);
  await trace.end();
});

function pipe(): string {
  const path = join(directory, 'pipe');
  execFileSync('sh', ['-c', 'test -p "$0" || mkfifo "$0"', path]);
  return path;
}
