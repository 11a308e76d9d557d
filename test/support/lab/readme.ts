import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './paths.js';

const SECTION = 'A Debian VM, from nothing to migrated';

/** The code blocks of README's section on a Debian VM, in their order, by what the lab does with them. */
export const DEBIAN_STEPS = [
  'system', // debian-image.ts
  'settings', // debian-image.ts
  'disk', // debian-image.ts
  'bridge', // host-images.ts: every host of the lab does it as it starts
  'run', // debian-vm.ts
  'console', // debian-vm.ts
  'receive', // debian-vm.ts
  'migrate', // debian-vm.ts
  'status', // debian-vm.ts
  'stop', // debian-vm.ts
] as const;

export type DebianStep = (typeof DEBIAN_STEPS)[number];

/** What differs in the lab: text of README, and what stands for it there. */
export type Replacements = Readonly<Record<string, string>>;

/** The fenced blocks of shell commands between this heading and the next one of its level. Throws if it is missing. */
export function shellBlocks(markdown: string, heading: string): string[] {
  const [, ...sections] = markdown.split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`README.md has no section "${heading}".`);
  const fenced = Array.from(section.matchAll(/^```(\w*)\n([^]*?)^```$/gm), ([, language, text]) => ({
    language,
    text,
  }));
  const other = fenced.find(({ language }) => language !== 'sh');
  if (other !== undefined)
    throw new Error(`A block of "${heading}" is no sh block: the tests would skip ${other.text}`);
  return fenced.map(({ text }) => text ?? '');
}

/** The shell commands of one step, as README has them but for `replacements`, each of which has to find its text. */
export function debianStep(step: DebianStep, replacements: Replacements = {}): string {
  const blocks = shellBlocks(readFileSync(join(projectRoot, 'README.md'), 'utf8'), SECTION);
  if (blocks.length !== DEBIAN_STEPS.length) {
    throw new Error(
      `README's "${SECTION}" has ${blocks.length} blocks of commands, the lab knows ${DEBIAN_STEPS.join()}.`,
    );
  }
  const commands = blocks[DEBIAN_STEPS.indexOf(step)] ?? '';
  return Object.entries(replacements).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`README's step "${step}" has no "${from}" that the lab could replace.`);
    return text.replaceAll(from, to);
  }, commands);
}
