/** Links between README, the manual and the code lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../support/lab/paths.js';
import { manualPages, pathOfPage, textOfPage } from '../../support/manual.js';

const LINK = /\[[^\]]*\]\(([^)]+)\)/g;
/** Longer lines are hard to read in an editor, and man pages have no other characters everywhere. */
const COLUMNS = 120;
const ASCII = /^[\n\x20-\x7e]*$/;

function withoutBlocks(markdown: string): string {
  return markdown.replaceAll(/^```[^]*?^```$/gm, '');
}

/** As GitHub makes them: lower case, without punctuation, blanks as hyphens. */
function anchorsOf(markdown: string): string[] {
  return Array.from(withoutBlocks(markdown).matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(manualPages())('%s', (page) => {
  const text = textOfPage(page);

  test('has no link that leads nowhere', () => {
    for (const [link, target = ''] of withoutBlocks(text).matchAll(LINK)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? pathOfPage(page) : join(dirname(pathOfPage(page)), path);
      expect(existsSync(join(projectRoot, file)), link).toBe(true);
      if (anchor !== undefined)
        expect(anchorsOf(readFileSync(join(projectRoot, file), 'utf8')), link).toContain(anchor);
    }
  });

  test('has lines that fit, of plain characters', () => {
    const lines = text.split('\n');
    expect(lines.filter((line) => line.length > COLUMNS && !line.includes(']('))).toEqual([]);
    expect(lines.filter((line) => !ASCII.test(line))).toEqual([]);
  });
});

test('README can be read in one go', () => {
  expect(textOfPage('README').split('\n').length).toBeLessThanOrEqual(160);
});

test('each page is linked from another one', () => {
  const all = manualPages().map((page) => [page, textOfPage(page)] as const);
  for (const file of readdirSync(join(projectRoot, 'src/manual'))) {
    const others = all.filter(([page, text]) => !pathOfPage(page).endsWith(`/${file}`) && text.includes(`${file})`));
    expect(others.length, file).toBeGreaterThan(0);
  }
});
