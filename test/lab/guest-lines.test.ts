import { expect, test } from 'vitest';
import {
  parseDiskReport,
  parseRegistersReport,
  parseReport,
  parseStreamReport,
  parseTicks,
  clockShift,
  clockWentBack,
  firstGap,
} from '../support/lab/guest-lines.js';

const LINES = [
  '[    1.5] quiet no more',
  'LAB ready cpus=2 pattern_mib=48',
  'LAB tick n=0 up=2710 real=1795412120516 mono=2719 cpus=2 pass=0 err=0\r',
  'LAB tick n=1 up=2810 real=1795412120616 mono=2819 cpus=2 pass=1 err=0',
  'LAB tick n=2 up=4810 real=1795412122617 mono=4821 cpus=2 pass=1 err=3',
  'LAB tick n=3 up=49', // cut by the end of the text
];

test('ticks are read from whole lines only', () => {
  const ticks = parseTicks(LINES.join('\n'));
  expect(ticks.map((tick) => tick.number)).toEqual([0, 1, 2]);
  expect(ticks[2]).toEqual({
    number: 2,
    uptimeMs: 4810,
    realMs: 1795412122617,
    monotonicMs: 4821,
    cpus: 2,
    passes: 1,
    errors: 3,
    end: LINES.slice(0, 5).join('\n').length + 1,
  });
});

test('a tick that is lost, doubled or torn', () => {
  const ticks = parseTicks(LINES.join('\n'));
  expect(firstGap(ticks)).toBe(undefined);
  expect(firstGap([ticks[0]!, ticks[2]!])).toBe(ticks[0]);
  expect(firstGap([ticks[0]!, ticks[1]!, ticks[1]!])).toBe(ticks[1]);
  expect(firstGap([])).toBe(undefined);
});

test('steps back', () => {
  const ticks = parseTicks(LINES.join('\n'));
  expect(clockWentBack(ticks)).toBe(false);
  expect(clockWentBack([...ticks, { ...ticks[2]!, realMs: 1 }])).toBe(true);
});

test('a clock that stood still for a while shows as behind, whatever ticks came late', () => {
  const tick = (clockMs: number, arrivedMs: number) => ({
    ...{ number: 0, cpus: 1, passes: 0, errors: 0, end: 0 },
    ...{ uptimeMs: clockMs, realMs: clockMs + 1_000_000, monotonicMs: clockMs, arrivedMs },
  });
  const before = [tick(1000, 5010), tick(1100, 5900), tick(1200, 5205)];
  const after = [tick(1300, 7900), tick(1400, 5655)];
  expect(clockShift(before, after)).toEqual({ uptimeMs: -250, realMs: -250, monotonicMs: -250 });
  expect(clockShift(before, before)).toEqual({ uptimeMs: 0, realMs: 0, monotonicMs: 0 });
});

test('a report', () => {
  const line = 'LAB report passes=7 pages=99 errors=1 bad_page=4 bad_word=5 expected=6 found=0';
  expect(parseReport(line)).toEqual({ passes: 7, pages: 99, errors: 1, line });
});

test('a report of the file, and of the connection', () => {
  const disk = 'LAB disk passes=2 blocks=130 errors=1 failures=3 bad_block=9 slowest=42';
  expect(parseDiskReport(disk)).toEqual({ passes: 2, blocks: 130, errors: 1, failures: 3, slowestMs: 42, line: disk });
  const stream = 'LAB stream open=1 sent=8 received=7 errors=0 silence=30 expected=0 found=0';
  expect(parseStreamReport(stream)).toEqual({ open: true, received: 7, errors: 0, line: stream });
});

test('a report of the registers', () => {
  const line = 'LAB registers components=231 checks=12 errors=3 bad_offset=576';
  expect(parseRegistersReport(line)).toEqual({ components: 231, checks: 12, errors: 3, line });
});
