import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Found from the package file, because this code also runs compiled, from elsewhere in the project.
function findProjectRoot(from: string): string {
  if (existsSync(join(from, 'package.json')) && existsSync(join(from, 'test', 'fixtures'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error('The lab is not inside the project.');
  return findProjectRoot(parent);
}

export const projectRoot = findProjectRoot(dirname(fileURLToPath(import.meta.url)));

/** Sources of the programs that run inside the virtual hosts, inside their guests, and of the guests' peer. */
export const hostFixtures = join(projectRoot, 'test', 'fixtures', 'lab-host');
export const guestFixtures = join(projectRoot, 'test', 'fixtures', 'lab-guest');
export const peerFixtures = join(projectRoot, 'test', 'fixtures', 'lab-peer');
/** Files that the Debian guest has besides those of its packages. */
export const debianFixtures = join(projectRoot, 'test', 'fixtures', 'lab-debian');

/** A folder of the lab's own, made if missing. Nothing in it is precious: images, logs, disks of a run. */
export function labFolder(name: 'images' | 'logs' | 'disks'): string {
  const folder = join(projectRoot, '.lab', name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Where things are inside a virtual host. */
export const inHost = {
  project: '/postcopy',
  nodeModules: '/usr/lib/node_modules',
  guestKernel: (debian: string): string => `/boot/vmlinuz-${debian}`,
  guestInitrd: '/boot/lab-guest.cpio',
} as const;
