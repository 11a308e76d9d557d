import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { runHere } from './commands.js';
import { extractPackages } from './debian-packages.js';
import { cachedImage } from './image-cache.js';

/**
 * The emulator of the virtual hosts is Debian 13's, on Debian 12 as well, unpacked and not installed. Under an older QEMU
 * no guest of a virtual host uses XSAVE or AVX ("XSAVE consistency problem" at its boot), so that no fault in moving them
 * could show.
 */
const RELEASE = 'trixie';
const OLDEST_MAJOR = 10;
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
// With Debian's links from one to the other.
const PARTS = ['usr/bin/qemu-system-x86_64', LIBRARIES, 'usr/lib64', 'usr/share/qemu', 'usr/share/seabios'];

/** Throws if what `qemu --version` prints is of a QEMU that is too old for the lab. */
export function checkVersion(text: string): void {
  const [, version, major] = /version ((\d+)\.\S+)/.exec(text) ?? [];
  if (Number(major) >= OLDEST_MAJOR) return;
  throw new Error(
    `The lab needs QEMU ${OLDEST_MAJOR} or newer, not ${version ?? `"${text.trim()}"`}: guests have no AVX under an older one.`,
  );
}

/** Program and first arguments that start it; unpacked into the lab's folder if it is not there yet. */
export async function emulator(): Promise<string[]> {
  const folder = await cachedImage({
    name: 'qemu',
    settings: [RELEASE, ...PARTS].join(),
    inputs: [],
    async make(target, scratch) {
      await extractPackages(RELEASE, ['qemu-system-x86'], scratch);
      mkdirSync(target);
      await runHere('cp', ['-a', '--parents', '-t', target, ...PARTS], { cwd: scratch });
    },
  });
  // By its own loader: this machine's has other libraries.
  const loader = [join(folder, 'usr/lib64/ld-linux-x86-64.so.2'), '--library-path', join(folder, LIBRARIES)];
  const program = [...loader, join(folder, 'usr/bin/qemu-system-x86_64')];
  checkVersion(await runHere(program[0]!, [...program.slice(1), '--version']));
  return [...program, '-L', join(folder, 'usr/share/qemu'), '-L', join(folder, 'usr/share/seabios')];
}
