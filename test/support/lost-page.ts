/**
 * The memory error of a host that only hardware has otherwise: a page of a VM's RAM is lost from the beginning, to whoever
 * touches it (UFFDIO_POISON). What the VM's process is started through does it as the addon makes the RAM.
 */
import { PAGE_SIZE } from '../../src/memory/page-size.js';

/** RAM of a VM has no fewer bytes; that of rehearsals has. */
const VM_BYTES = 64 << 20;

/** For a VM's launcher: it has lost this page. */
export function losingPage(page: number): string[] {
  const code = `
    const open = process.dlopen;
    process.dlopen = function (module, ...rest) {
      open.call(this, module, ...rest);
      const { GuestMemory, Userfaultfd } = module.exports;
      if (GuestMemory === undefined) return;
      module.exports.GuestMemory = class extends GuestMemory {
        constructor(bytes, backing) {
          super(bytes, backing);
          if (bytes < ${VM_BYTES}) return;
          const userfaultfd = new Userfaultfd(this);
          userfaultfd.register(${page}, 1, false);
          userfaultfd.poison(${page}, 1);
          userfaultfd.unregister(${page}, 1);
          userfaultfd.close();
        }
      };
    };`;
  const encoded = Buffer.from(code).toString('base64');
  return ['env', `NODE_OPTIONS=--import=data:text/javascript;base64,${encoded}`];
}

/** The page of RAM at so many MiB. */
export function pageAt(mib: number): number {
  return (mib << 20) / PAGE_SIZE;
}
