import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../../support/lab/paths.js';
import { manualPages } from '../../support/manual.js';

const directory = mkdtempSync(join(tmpdir(), 'postcopy-man-'));
execFileSync(process.execPath, [join(projectRoot, 'scripts/man-pages.mjs'), directory]);
afterAll(() => rmSync(directory, { recursive: true }));

const made = readdirSync(directory).sort();

test('each page of a section is made, and is in the package', () => {
  expect(made).toEqual(manualPages().filter((page) => /\.[1-9]$/.test(page)));
  const { man } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { man: string[] };
  expect(man).toEqual(made.map((name) => `./dist/man/${name}`));
});

describe.each(made)('%s', (name) => {
  const page = readFileSync(join(directory, name), 'utf8');
  const [title, section] = name.split(/\.(?=\d$)/);

  test('has the head that man and apropos look for', () => {
    const [head, ...rest] = page.split('\n');
    expect(head?.replaceAll('\\-', '-')).toMatch(`.TH "${title?.toUpperCase()}" "${section}" `);
    expect(rest.slice(0, 2)).toEqual(['.SH NAME', '.P']);
    expect(rest[2]?.replaceAll('\\-', '-')).toMatch(new RegExp(`^${title} - \\w`));
  });

  test('is one that groff takes without a warning, with nothing left of Markdown or HTML', () => {
    const text = execFileSync('groff', ['-t', '-man', '-ww', '-Tascii', join(directory, name)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, GROFF_NO_SGR: '1' },
    });
    expect(text.length).toBeGreaterThan(500);
    expect(page).not.toMatch(/&\w+;|\]\(|^```/m);
  });
});
