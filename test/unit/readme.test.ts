import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../support/lab/paths.js';
import { DEBIAN_STEPS, debianStep, shellBlocks } from '../support/lab/readme.js';

// README's Debian VM is what the lab tests run: test/lab/debian.test.ts and the images it needs. What they do not take
// from README, or README has and they do not know, shows here, without a lab.

/** How each step begins: blocks that were moved or added are not mistaken for one another. */
const BEGINNINGS: Record<string, string> = {
  system: 'apt-get install',
  settings: 'cd /var/tmp/web',
  disk: 'mkdir -p /srv/web',
  bridge: 'ip link add br0',
  run: 'postcopy run --detach --name web',
  console: 'postcopy console web',
  receive: 'postcopy receive --detach --name web',
  migrate: 'postcopy migrate web',
  status: 'postcopy status web',
  stop: 'postcopy stop web',
};

const source = (path: string): string => readFileSync(join(projectRoot, 'test', path), 'utf8');

/** Code that every run of test/lab/debian.test.ts goes through, and what in it runs each step. */
const TAKEN_BY: Record<string, { file: string; calledAs?: string }> = {
  system: { file: 'support/lab/debian-image.ts' },
  settings: { file: 'support/lab/debian-image.ts' },
  disk: { file: 'support/lab/debian-image.ts' },
  bridge: { file: 'support/lab/host-images.ts' },
  run: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.boot(' },
  console: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.visitConsole(' },
  receive: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.receive(' },
  migrate: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.move(' },
  status: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.status(' },
  stop: { file: 'support/lab/debian-vm.ts', calledAs: 'vm.stop(' },
};

describe.each(DEBIAN_STEPS)("README's step %s on a Debian VM", (step) => {
  test('is the block that the lab takes it for', () => {
    expect(debianStep(step).startsWith(BEGINNINGS[step] ?? 'nothing')).toBe(true);
  });

  test('is run by the lab', () => {
    const { file, calledAs } = TAKEN_BY[step] ?? { file: '' };
    expect(source(file)).toContain(`debianStep('${step}'`);
    if (calledAs !== undefined) expect(source('lab/debian.test.ts')).toContain(calledAs);
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
  expect(debianStep('migrate', { '192.0.2.2': '10.77.0.2' })).toBe('postcopy migrate web 10.77.0.2:7000\n');
  expect(() => debianStep('migrate', { '192.0.2.3': '10.77.0.3' })).toThrow('no "192.0.2.3"');
});

describe('shellBlocks', () => {
  const text = 'x\n\n## A\n\n```sh\none\n```\n\n### part\n\n```sh\ntwo \\\n  more\n```\n\n## B\n\n```sh\nother\n```\n';

  test('has the blocks of one section in order', () => {
    expect(shellBlocks(text, 'A')).toEqual(['one\n', 'two \\\n  more\n']);
  });

  test('has no way around: a missing section and a block in another language are errors', () => {
    expect(() => shellBlocks(text, 'C')).toThrow('no section "C"');
    expect(() => shellBlocks('## A\n\n```bash\none\n```\n', 'A')).toThrow('no sh block');
    expect(() => shellBlocks('## A\n\n```\none\n```\n', 'A')).toThrow('no sh block');
  });
});
