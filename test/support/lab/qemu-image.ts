import { basename } from 'node:path';
import { makeDiskImage } from './disk-image.js';
import { cachedImage } from './image-cache.js';
import { RootTree } from './root-tree.js';
import { sharedLibraries } from './shared-libraries.js';

const QEMU = '/usr/bin/qemu-system-x86_64';
const FIRMWARE = '/usr/share/seabios/bios-microvm.bin';
const ROMS = ['/usr/share/qemu/linuxboot_dma.bin', '/usr/share/qemu/kvmvapic.bin'];

/** Disk with this machine's QEMU for a virtual host, to compare with. */
export function qemuImage(): Promise<string> {
  return cachedImage({
    name: 'qemu.img',
    inputs: [{ path: QEMU }, { path: FIRMWARE }],
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      tree.executable(QEMU, 'qemu');
      for (const { path, file } of await sharedLibraries(QEMU)) tree.executable(file, `lib/${basename(path)}`);
      for (const file of [FIRMWARE, ...ROMS]) tree.file(file, `share/${basename(file)}`);
      await makeDiskImage(scratch, target);
    },
  });
}

/** The command that starts it in a host that has the disk mounted at `folder`. */
export function qemuIn(folder: string): string {
  const libraries = `${folder}/lib`;
  return `${libraries}/ld-linux-x86-64.so.2 --library-path ${libraries} ${folder}/qemu -L ${folder}/share`;
}
