/** Words that only a user of the command line can do something with: its options, and its commands. */
import { createProgram } from '../../src/cli/program.js';

const program = createProgram([], { out: () => {}, err: () => {} }, () => {});
const COMMANDS = program.commands.map((command) => command.name());
/** Every program has --version. */
const OPTIONS = [program, ...program.commands]
  .flatMap(({ options }) => options.map(({ long }) => long))
  .filter((option) => option !== '--version');

/** Those in a text. */
export function cliWords(text: string): string[] {
  const options = (text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? []).filter((word) => OPTIONS.includes(word));
  const commands = Array.from(text.matchAll(/\bpostcopy ([a-z]+)\b/g));
  return [...options, ...commands.filter(([, name = '']) => COMMANDS.includes(name)).map(([words]) => words)];
}
