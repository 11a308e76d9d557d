/** Every block of commands, or of code, of README and the manual has somebody who runs it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../support/lab/paths.js';
import { blocksOf, manualPages, textOfPage } from '../../support/manual.js';
import { RUNNERS, RUNS } from '../../support/manual-runs.js';

/** In which something can be run. */
const RUN = ['sh', 'ts'];
/** What else is in blocks: drawings, and the configuration file (settings.test.ts). */
const NOT_RUN = ['text', 'json'];

describe.each(manualPages())('%s', (page) => {
  const blocks = blocksOf(textOfPage(page));

  test('names the language of each block', () => {
    for (const { language, text } of blocks) expect([...RUN, ...NOT_RUN], text).toContain(language);
  });

  test('has no block that nothing runs', () => {
    const texts = blocks.filter(({ language }) => RUN.includes(language)).map(({ text }) => text);
    const listed = RUNS[page] ?? [];
    for (const [index, text] of texts.entries()) {
      expect(text.startsWith(listed[index]?.[0] ?? 'nothing'), `test/support/manual-runs.ts has no ${text}`).toBe(true);
    }
    expect(listed).toHaveLength(texts.length);
  });

  test('is run by whom it is said to be run', () => {
    for (const [beginning, runner] of RUNS[page] ?? []) {
      if (runner !== 'vm' && runner !== 'package') continue; // debian-vm.test.ts and commands.test.ts go by the list
      const source = readFileSync(join(projectRoot, RUNNERS[runner]), 'utf8');
      expect(source).toMatch(new RegExp(`(${literal(page)},|program\\(\\w+,)\\s*${literal(beginning)}`));
    }
  });
});

test('nobody runs a page that is not there', () => {
  expect(manualPages()).toEqual(expect.arrayContaining(Object.keys(RUNS)));
});

/** A text as it stands in a test's source, in quotes; README is a constant. */
function literal(text: string): string {
  if (text === 'README') return 'README';
  const quoted = `'${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}'`;
  return quoted.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
