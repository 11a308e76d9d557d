import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runHere } from './commands.js';
import { makeDiskImage } from './disk-image.js';
import { guestProgram, guestSources } from './guest-image.js';
import { cachedImage } from './image-cache.js';
import { debianFixtures } from './paths.js';
import { RootTree } from './root-tree.js';

const INSTALL_LIMIT_MS = 600_000;
const DISK_SIZE = '1G';
const PACKAGES = [
  ...['linux-image-cloud-amd64', 'initramfs-tools', 'zstd', 'udev', 'kmod', 'e2fsprogs'],
  ...['systemd-sysv', 'dbus', 'login', 'iproute2', 'iputils-ping'],
];
/** Nobody reads them there, and they are a third of the size. */
const LEFT_OUT = ['man', 'doc', 'info', 'locale', 'lintian'];
/** Jobs that wake up by themselves; on an emulated CPU each would be felt. */
const MASKED = [
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'dpkg-db-backup.timer',
  'fstrim.timer',
  'getty@tty1.service',
];
const ENABLED = ['systemd-networkd.service'];

/** A Debian system as its packages make it, for a guest. */
export interface DebianImage {
  /** Root file system: ext4 on the whole disk. Copy it before a guest writes to it. */
  disk: string;
  /** Disk for the hosts: Debian's own kernel and initrd, as `vmlinuz` and `initrd.img`. */
  boot: string;
  kernel: string;
  initrd: string;
}

/** Made if missing or out of date; the first time takes some minutes and a package mirror. */
export async function debianImage(): Promise<DebianImage> {
  const system = await debianSystem();
  const folder = await cachedImage({
    name: 'debian',
    settings: [basename(system), DISK_SIZE, ...MASKED, ...ENABLED].join(),
    inputs: [{ path: debianFixtures }, ...guestSources],
    async make(target, scratch) {
      await runHere('tar', ['-C', scratch, '--numeric-owner', '--xattrs', '-xpf', system]);
      mkdirSync(join(target, 'boot'), { recursive: true });
      // The links that Debian's kernel package keeps to the newest.
      for (const name of ['vmlinuz', 'initrd.img'])
        cpSync(join(scratch, name), join(target, 'boot', name), { dereference: true });
      await makeDiskImage(join(target, 'boot'), join(target, 'boot.img'));
      await addOurs(new RootTree(scratch));
      await runHere('mke2fs', ['-q', '-t', 'ext4', '-d', scratch, join(target, 'disk.img'), DISK_SIZE]);
    },
  });
  const boot = join(folder, 'boot');
  return {
    disk: join(folder, 'disk.img'),
    boot: join(folder, 'boot.img'),
    kernel: join(boot, 'vmlinuz'),
    initrd: join(boot, 'initrd.img'),
  };
}

/** The packages, installed, as a tar file. */
function debianSystem(): Promise<string> {
  const release = /^VERSION_CODENAME=(\S+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (release === undefined) throw new Error('The lab needs Debian: no VERSION_CODENAME in /etc/os-release.');
  return cachedImage({
    name: 'packages.tar',
    settings: [release, ...PACKAGES, ...LEFT_OUT].join(),
    inputs: [],
    async make(target) {
      const without = LEFT_OUT.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
      const what = ['--variant=essential', `--include=${PACKAGES.join()}`, ...without];
      await runHere('mmdebstrap', ['--mode=root', '--format=tar', ...what, release, target], {
        timeout: INSTALL_LIMIT_MS,
      });
    },
  });
}

async function addOurs(tree: RootTree): Promise<void> {
  // A machine ID that is there already: nothing is set up as at a first boot.
  cpSync(debianFixtures, tree.root, { recursive: true });
  await guestProgram(tree, 'usr/local/bin/lab-work');
  const units = 'etc/systemd/system';
  for (const unit of MASKED) link(tree, '/dev/null', `${units}/${unit}`);
  for (const unit of ENABLED) link(tree, `/lib/systemd/system/${unit}`, `${units}/multi-user.target.wants/${unit}`);
}

function link(tree: RootTree, to: string, path: string): void {
  const place = tree.place(path);
  rmSync(place, { force: true });
  symlinkSync(to, place);
}
