import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../support/lab/paths.js';
import { DEBIAN_STEPS, debianStep, shellBlocks, TUTORIAL, type DebianStep } from '../../support/lab/tutorial.js';
import { RUNS } from '../../support/manual-runs.js';

// The manual's Debian VM is what the lab tests run: test/lab/debian.test.ts and the images it needs. What they do not take
// from its page, or the page has and they do not know, shows here, without a lab.

const source = (path: string): string => readFileSync(join(projectRoot, 'test', path), 'utf8');

/** Code that every run of test/lab/debian.test.ts goes through, and what in it runs each step. */
const TAKEN_BY: Record<DebianStep, { file: string; calledAs?: string; calledBy?: string }> = {
  system: { file: 'support/lab/debian-image.ts' },
  settings: { file: 'support/lab/debian-image.ts' },
  disk: { file: 'support/lab/debian-image.ts' },
  bridge: { file: 'support/lab/host-images.ts' },
  run: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.boot(' },
  console: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.visitConsole(' },
  receive: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.receive(' },
  migrate: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.move(' },
  status: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.status(' },
  stop: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.stop(', calledBy: 'expectWholeAfterPowerOff(' },
};

describe.each(DEBIAN_STEPS.map((step, index) => [step, index] as const))('step %s of the tutorial', (step, index) => {
  test('is the block that the lab takes it for', () => {
    const [beginning, runner] = RUNS[TUTORIAL]?.[index] ?? [];
    expect(runner).toBe('lab');
    // Blocks that were moved or added are not mistaken for one another.
    expect(debianStep(step).startsWith(beginning ?? 'nothing')).toBe(true);
  });

  test('is run by the lab', () => {
    const { file, calledAs, calledBy } = TAKEN_BY[step];
    expect(source(file)).toContain(`debianStep('${step}'`);
    if (calledAs === undefined) return;
    if (calledBy !== undefined) expect(source('support/lab/debian-unharmed.ts')).toContain(calledAs);
    expect(source('lab/debian.test.ts')).toContain(calledBy ?? calledAs);
  });

  test('is a shell script', () => {
    execFileSync('sh', ['-n', '-c', debianStep(step)]);
  });
});

test('each postcopy command stands alone: nothing in its block is skipped when it fails', () => {
  for (const step of DEBIAN_STEPS) {
    const commands = debianStep(step).replaceAll('\\\n', ' ').trimEnd().split('\n');
    if (commands.some((command) => command.startsWith('postcopy'))) expect(commands, step).toHaveLength(1);
  }
});

test('a replacement that finds nothing to replace is an error', () => {
  expect(debianStep('migrate', { '192.0.2.2': '10.77.0.2' })).toBe('postcopy migrate web 10.77.0.2:7000 --key KEY\n');
  expect(() => debianStep('migrate', { '192.0.2.3': '10.77.0.3' })).toThrow('no "192.0.2.3"');
});

test('shell blocks are taken in order, and one in another language is an error', () => {
  expect(shellBlocks('x\n\n```sh\none\n```\n\n```sh\ntwo \\\n  more\n```\n')).toEqual(['one\n', 'two \\\n  more\n']);
  expect(() => shellBlocks('```bash\none\n```\n')).toThrow('no sh block');
  expect(() => shellBlocks('```\none\n```\n')).toThrow('no sh block');
});
