/** README and the manual, as the tests read them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './lab/paths.js';

export const README = 'README';
const MANUAL = 'src/manual';

/** Pages by the names that tests use: `README`, `postcopy-run.1`, `decisions`. */
export function manualPages(): string[] {
  const files = readdirSync(join(projectRoot, MANUAL)).filter((file) => file.endsWith('.md'));
  return [README, ...files.map((file) => file.slice(0, -'.md'.length)).sort()];
}

/** In the project. */
export function pathOfPage(page: string): string {
  return page === README ? 'README.md' : join(MANUAL, `${page}.md`);
}

export function textOfPage(page: string): string {
  return readFileSync(join(projectRoot, pathOfPage(page)), 'utf8');
}

export interface Block {
  /** Empty if the fence names none. */
  language: string;
  text: string;
}

/** The fenced blocks of a text, in their order. */
export function blocksOf(markdown: string): Block[] {
  return Array.from(markdown.matchAll(/^```(.*)\n([^]*?)^```$/gm), ([, language = '', text = '']) => ({
    language,
    text,
  }));
}

/** What stands between this heading and the next one of its level. Throws if there is no such heading. */
export function sectionOf(markdown: string, heading: string): string {
  const [, ...sections] = markdown.split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`There is no section "${heading}".`);
  return section.slice(heading.length + 1);
}

/** What differs where a test runs a command: text of the page, and what stands for it there. */
export type Replacements = Readonly<Record<string, string>>;

/** Each replacement has to find its text: else a test would run what is no longer on the page. */
export function replaceAll(text: string, replacements: Replacements, where: string): string {
  return Object.entries(replacements).reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`${where} has no "${from}" that the test could replace.`);
    return result.replaceAll(from, to);
  }, text);
}

/** The block of a page that begins so, as it stands there. Throws unless there is exactly one. */
export function blockOfPage(page: string, beginning: string, language = 'sh'): string {
  const found = blocksOf(textOfPage(page)).filter(
    (block) => block.language === language && block.text.startsWith(beginning),
  );
  if (found.length !== 1) throw new Error(`${page} has ${found.length} ${language} blocks that begin "${beginning}".`);
  return found[0]?.text ?? '';
}
