import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OomScore } from '../../../src/host/oom-score.js';

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-oom-'));
  file = join(directory, 'oom_score_adj');
});
afterEach(() => rmSync(directory, { recursive: true }));

const now = (): string => readFileSync(file, 'latin1');

it('spares the process, and puts back what there was', () => {
  writeFileSync(file, '17\n');
  const score = new OomScore(file);
  score.spare();
  score.spare();
  expect(now()).toBe('-900');
  score.restore();
  expect(now()).toBe('17');
  writeFileSync(file, '3');
  score.restore();
  expect(now()).toBe('3');
});

it('leaves a process alone that is spared already', () => {
  writeFileSync(file, '-1000');
  const score = new OomScore(file);
  score.spare();
  score.restore();
  expect(now()).toBe('-1000');
});

it('does without where it is not permitted', () => {
  const score = new OomScore(join(directory, 'missing'));
  score.spare();
  score.restore();
});
