import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cachedImage } from './image-cache.js';
import { packInitramfs } from './initramfs.js';
import { guestFixtures, peerFixtures } from './paths.js';
import { BUSYBOX, RootTree } from './root-tree.js';

/** What guestProgram is made of. */
export const guestSources = [{ path: guestFixtures }, { path: peerFixtures }];

/** Puts the guest's program (test/fixtures/lab-guest) at `path`. */
export async function guestProgram(tree: RootTree, path: string): Promise<void> {
  const own = readdirSync(guestFixtures).filter((name) => name.endsWith('.c'));
  // Both ends of the line stream are the same code.
  await tree.program(guestFixtures, [...own, join(peerFixtures, 'stream.c')], path);
}

/** The initramfs of the guests: test/fixtures/lab-guest as process 1, and busybox for its `run` command. */
export function guestInitramfs(): Promise<string> {
  return cachedImage({
    name: 'guest.cpio',
    inputs: [...guestSources, { path: BUSYBOX }],
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      await guestProgram(tree, 'init');
      await tree.busybox();
      tree.folder('proc', 'sys', 'dev');
      await packInitramfs(scratch, target);
    },
  });
}
