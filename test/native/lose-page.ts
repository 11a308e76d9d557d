import { native, type NativeMemory } from '../../src/native.js';

/** As a memory error of the host does; of RAM that nobody has touched there: nor its neighbours, which may share a huge page. */
export function losePage(memory: NativeMemory, page: number): void {
  const userfaultfd = new native.Userfaultfd(memory);
  userfaultfd.register(page, 1, false);
  if (userfaultfd.poison(page, 1) !== 1) throw new Error(`page ${page} is in use`);
  userfaultfd.unregister(page, 1);
  userfaultfd.close();
}
