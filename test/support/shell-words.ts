/** The commands in the shell blocks of a page, as words. It knows no more of the shell than these pages use. */
import { blocksOf } from './manual.js';

const WORD = /(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+/g;
const SEPARATORS = ['||', '&&', ';', '|'];

export function commandsOf(markdown: string): string[][] {
  const blocks = blocksOf(markdown).filter(({ language }) => language === 'sh');
  return blocks.flatMap(({ text }) => text.replaceAll('\\\n', ' ').split('\n').flatMap(commandsOfLine));
}

function commandsOfLine(line: string): string[][] {
  const commands: string[][] = [[]];
  for (const word of line.match(WORD) ?? []) {
    if (word.startsWith('#')) break;
    if (SEPARATORS.includes(word)) commands.push([]);
    else if (!/^\d?>/.test(word)) commands.at(-1)?.push(word.replaceAll(/['"\\]/g, ''));
  }
  return commands.filter((words) => words.length > 0);
}
