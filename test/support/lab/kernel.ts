import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runHere, shellHere } from './commands.js';
import { extractPackages, type DebianRelease } from './debian-packages.js';
import { cachedImage } from './image-cache.js';

/** A Debian cloud kernel, unpacked and not installed: for virtual hosts and their guests. */
export interface StockKernel {
  release: string;
  image: string;
  modules: string;
}

/** That of a Debian release: 6.1 of bookworm, 6.12 of trixie. */
export async function stockKernel(debian: DebianRelease): Promise<StockKernel> {
  const folder = await cachedImage({
    name: `kernel-${debian}`,
    inputs: [],
    async make(target, scratch) {
      await extractPackages(debian, ['linux-image-cloud-amd64'], scratch);
      mkdirSync(join(target, 'lib'), { recursive: true });
      // Debian 13 has them below /usr, and compressed, which busybox's modprobe does not take.
      await shellHere(
        `
        cp boot/vmlinuz-* ${target}/
        if [ -d usr/lib/modules ]; then cp -r usr/lib/modules ${target}/lib/; else cp -r lib/modules ${target}/lib/; fi
        find ${target} -name '*.ko.xz' -exec xz -d {} +`,
        { cwd: scratch },
      );
      for (const release of readdirSync(join(target, 'lib/modules'))) await runHere('depmod', ['-b', target, release]);
    },
  });
  const [release] = readdirSync(join(folder, 'lib/modules'));
  if (release === undefined) throw new Error(`Debian ${debian} has no cloud kernel.`);
  return { release, image: join(folder, `vmlinuz-${release}`), modules: join(folder, 'lib/modules', release) };
}

// modules.dep: "path/a.ko: path/b.ko path/c.ko", all that a needs; names use - and _ alike.
function readDependencies(kernel: StockKernel): Map<string, string[]> {
  const lines = readFileSync(join(kernel.modules, 'modules.dep'), 'utf8').split('\n');
  return new Map(
    lines.flatMap((line): [string, string[]][] => {
      const [path, needs = ''] = line.split(':');
      const name = path && /([^/]+)\.ko(\.\w+)?$/.exec(path)?.[1];
      if (!path || !name) return [];
      return [[name.replaceAll('-', '_'), [path, ...needs.split(' ').filter(Boolean)]]];
    }),
  );
}

/** Paths below the modules folder of these modules and all that they need; those built in have none. */
function moduleClosure(kernel: StockKernel, names: readonly string[]): string[] {
  const dependencies = readDependencies(kernel);
  return [...new Set(names.flatMap((name) => dependencies.get(name.replaceAll('-', '_')) ?? []))];
}

/** Puts modules, and what modprobe needs to find them, below `root`. */
export function copyModules(kernel: StockKernel, names: readonly string[], root: string): void {
  const indexes = ['modules.dep', 'modules.builtin', 'modules.order'];
  for (const path of [...indexes, ...moduleClosure(kernel, names)]) {
    cpSync(join(kernel.modules, path), join(root, 'lib', 'modules', kernel.release, path));
  }
}
