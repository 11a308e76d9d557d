import { blocksOf, replaceAll, textOfPage, type Replacements } from '../manual.js';

export const TUTORIAL = 'postcopy-debian-vm.7';

/** The tutorial's code blocks, in their order, by what the lab does with them. */
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

/** All blocks of a page that has nothing but shell commands in blocks. */
export function shellBlocks(markdown: string): string[] {
  return blocksOf(markdown).map(({ language, text }) => {
    if (language !== 'sh') throw new Error(`This is no sh block, the lab would skip it: ${text}`);
    return text;
  });
}

/** The shell commands of one step, as the tutorial has them but for `replacements`. */
export function debianStep(step: DebianStep, replacements: Replacements = {}): string {
  const blocks = shellBlocks(textOfPage(TUTORIAL));
  if (blocks.length !== DEBIAN_STEPS.length) {
    throw new Error(`${TUTORIAL} has ${blocks.length} blocks of commands, the lab knows ${DEBIAN_STEPS.join()}.`);
  }
  return replaceAll(blocks[DEBIAN_STEPS.indexOf(step)] ?? '', replacements, `Step "${step}" of ${TUTORIAL}`);
}
