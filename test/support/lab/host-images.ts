import { cpSync, existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DebianRelease } from './debian-packages.js';
import { makeDiskImage } from './disk-image.js';
import { guestInitramfs } from './guest-image.js';
import { cachedImage } from './image-cache.js';
import { packInitramfs } from './initramfs.js';
import { copyModules, stockKernel, type StockKernel } from './kernel.js';
import { hostFixtures, inHost, peerFixtures, projectRoot } from './paths.js';
import { debianStep } from './tutorial.js';
import { BUSYBOX, RootTree } from './root-tree.js';
import { sharedLibraries } from './shared-libraries.js';

const INITRAMFS_MODULES = ['virtio_pci', 'virtio_blk'];
const HOST_DRIVERS = ['virtio_pci', 'virtio_blk', 'virtio_console', 'virtio_net'];
const TLS_MODULES = ['tls', 'gcm', 'ctr', 'ghash_generic', 'seqiv', 'aesni_intel'];
const SYSTEM_MODULES = ['kvm_amd', ...HOST_DRIVERS, 'bridge', 'tun', 'sch_netem', 'sch_tbf', ...TLS_MODULES];
const NODE_MODULES = join(projectRoot, 'node_modules');

/** The tutorial's bridge, on each host with the address that is its argument. */
const bridgeCommands = (): string => debianStep('bridge', { '192.0.2.1': '$1' });

interface HostBoot {
  kernel: string;
  initramfs: string;
}

/** What a virtual host boots from. */
export interface HostImages {
  /** By the Debian release whose kernel it is. */
  boot: Record<DebianRelease, HostBoot>;
  /** Disk: the kernels' modules, Node and its libraries, busybox, the guest's files, node_modules. Changes seldom. */
  system: string;
  /** Disk: the project as it is in this checkout, built. Small, made again after every change. */
  project: string;
}

/** All of them, made if missing or out of date. */
export async function hostImages(): Promise<HostImages> {
  const [bookworm, trixie] = await Promise.all([stockKernel('bookworm'), stockKernel('trixie')]);
  const [system, project] = await Promise.all([systemImage({ bookworm, trixie }), projectImage()]);
  return { boot: { bookworm: await hostBoot(bookworm), trixie: await hostBoot(trixie) }, system, project };
}

async function hostBoot(kernel: StockKernel): Promise<HostBoot> {
  return { kernel: kernel.image, initramfs: await hostInitramfs(kernel) };
}

function hostInitramfs(kernel: StockKernel): Promise<string> {
  const init = join(hostFixtures, 'initramfs-init');
  return cachedImage({
    name: `host-${kernel.release}.cpio`,
    settings: INITRAMFS_MODULES.join(),
    inputs: [{ path: init }, { path: BUSYBOX }, { path: kernel.image }],
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      tree.executable(init, 'init');
      await tree.busybox();
      tree.folder('proc', 'sys', 'dev', 'root');
      copyModules(kernel, INITRAMFS_MODULES, scratch);
      await packInitramfs(scratch, target);
    },
  });
}

async function systemImage(kernels: Record<DebianRelease, StockKernel>): Promise<string> {
  const guest = await guestInitramfs();
  return cachedImage({
    name: 'system.img',
    settings: SYSTEM_MODULES.join() + bridgeCommands() + basename(guest), // whose name has its own fingerprint
    inputs: [
      { path: hostFixtures },
      { path: peerFixtures },
      ...Object.values(kernels).map(({ image }) => ({ path: image })),
      { path: process.execPath },
      // Caches that tools keep there change without meaning.
      { path: NODE_MODULES, except: ['.vite', '.vite-temp', '.cache', '.vitest'] },
    ],
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      tree.folder('proc', 'sys', 'dev', 'run', 'tmp', 'root', 'etc', 'var', 'sbin', inHost.project);
      await tree.busybox(['init', 'npx']);
      await addPrograms(tree);
      await addNode(tree);
      tree.file(guest, inHost.guestInitrd);
      for (const [debian, kernel] of Object.entries(kernels)) {
        tree.file(kernel.image, inHost.guestKernel(debian));
        copyModules(kernel, SYSTEM_MODULES, scratch);
      }
      cpSync(NODE_MODULES, tree.place(inHost.nodeModules), { recursive: true, verbatimSymlinks: true });
      await makeDiskImage(scratch, target);
    },
  });
}

async function addPrograms(tree: RootTree): Promise<void> {
  const sources = readdirSync(hostFixtures).filter((name) => name.endsWith('.c'));
  await tree.program(hostFixtures, sources, 'sbin/lab-agent');
  const peer = readdirSync(peerFixtures).filter((name) => name.endsWith('.c'));
  await tree.program(peerFixtures, peer, 'usr/bin/lab-peer');
  tree.executable(join(hostFixtures, 'init'), 'sbin/init');
  tree.script('sbin/lab-bridge', `#!/bin/sh -e\n${bridgeCommands()}`);
  tree.script('usr/bin/postcopy', `#!/bin/sh\nexec node ${inHost.project}/dist/cli/main.js "$@"\n`);
  // npm itself is not there; what it would look up is in PATH.
  tree.script('usr/bin/npx', '#!/bin/sh\nexec "$@"\n');
  tree.script('usr/bin/env', '#!/bin/sh\nexec /bin/busybox env "$@"\n');
  tree.text('etc/hosts', '127.0.0.1 localhost\n10.77.0.1 host1\n10.77.0.2 host2\n10.77.0.3 host3\n');
  tree.text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
  tree.text('etc/group', 'root:x:0:\n');
}

async function addNode(tree: RootTree): Promise<void> {
  tree.executable(process.execPath, 'usr/bin/node');
  for (const program of [process.execPath, ...addons()]) {
    for (const library of await sharedLibraries(program)) tree.executable(library.file, library.path);
  }
}

/** Every addon that Node may load there: the project's, and those of its tools. */
function addons(): string[] {
  const ours = join(projectRoot, 'build', 'Release', 'postcopy.node');
  const names = readdirSync(NODE_MODULES, { recursive: true, encoding: 'utf8' });
  const theirs = names.filter((name) => name.endsWith('.node')).map((name) => join(NODE_MODULES, name));
  return [...(existsSync(ours) ? [ours] : []), ...theirs];
}

function projectImage(): Promise<string> {
  const files = ['package.json', 'dist', 'src', 'test', 'prebuilds', 'scripts', 'binding.gyp', 'native'];
  const built = ['build/Release'];
  // Object files of the addon: large, and of no use there.
  const except = ['obj.target', '.deps'];
  return cachedImage({
    name: 'project.img',
    inputs: [...files, ...built].map((path) => ({ path: join(projectRoot, path), except })),
    async make(target, scratch) {
      const tree = new RootTree(scratch);
      tree.folder('node_modules'); // the system's are mounted on it
      for (const path of [...files, ...built].filter((name) => existsSync(join(projectRoot, name)))) {
        const filter = (source: string): boolean => !except.some((name) => source.endsWith(`/${name}`));
        cpSync(join(projectRoot, path), tree.place(path), { recursive: true, verbatimSymlinks: true, filter });
      }
      await makeDiskImage(scratch, target);
    },
  });
}
