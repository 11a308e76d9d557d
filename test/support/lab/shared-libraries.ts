import { realpathSync } from 'node:fs';
import { runHere } from './commands.js';

// ldd: "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x7f...)" or "/lib64/ld-linux-x86-64.so.2 (0x7f...)"
const LIBRARY = /^\s*(?:\S+ => )?(\/\S+) \(0x/;

/** Path as the loader looks for it, and the file there, of every library that a program or addon loads. */
export async function sharedLibraries(program: string): Promise<{ path: string; file: string }[]> {
  const lines = (await runHere('ldd', [program])).split('\n');
  return lines.flatMap((line) => {
    const path = LIBRARY.exec(line)?.[1];
    return path === undefined ? [] : [{ path, file: realpathSync(path) }];
  });
}
