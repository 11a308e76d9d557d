import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A Debian cloud kernel installed on this machine: the kernel of the virtual hosts and of their guests. */
export interface StockKernel {
  release: string;
  image: string;
  modules: string;
}

const IMAGE_NAME = /^vmlinuz-(.*-cloud-amd64)$/;

/** The newest one that has its modules. */
export function findStockKernel(): StockKernel {
  const releases = readdirSync('/boot').flatMap((name) => IMAGE_NAME.exec(name)?.[1] ?? []);
  const usable = releases.filter((release) => existsSync(`/lib/modules/${release}/modules.dep`));
  const release = usable.sort(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  if (release === undefined) {
    throw new Error('The lab needs a Debian cloud kernel in /boot: apt-get install linux-image-cloud-amd64');
  }
  return { release, image: `/boot/vmlinuz-${release}`, modules: `/lib/modules/${release}` };
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
export function moduleClosure(kernel: StockKernel, names: readonly string[]): string[] {
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
