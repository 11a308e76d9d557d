import { readdirSync } from 'node:fs';
import { cachedImage } from './image-cache.js';
import { packInitramfs } from './initramfs.js';
import { guestFixtures } from './paths.js';
import { BUSYBOX, RootTree } from './root-tree.js';

/** The initramfs of the guests: test/fixtures/lab-guest as process 1, and busybox for its `run` command. */
export function guestInitramfs(): Promise<string> {
  return cachedImage({
    name: 'guest.cpio',
    inputs: [{ path: guestFixtures }, { path: BUSYBOX }],
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      const sources = readdirSync(guestFixtures).filter((name) => name.endsWith('.c'));
      await tree.program(guestFixtures, sources, 'init');
      await tree.busybox();
      tree.folder('proc', 'sys', 'dev');
      await packInitramfs(scratch, target);
    },
  });
}
