import { cpSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runHere, shellHere } from './commands.js';
import { makeDiskImage } from './disk-image.js';
import { guestProgram, guestSources } from './guest-image.js';
import { cachedImage } from './image-cache.js';
import { debianFixtures } from './paths.js';
import { debianStep } from './tutorial.js';
import { RootTree } from './root-tree.js';

const INSTALL_LIMIT_MS = 600_000;
/** Of the tutorial: where the system is made, and the storage that both hosts see. */
const SYSTEM = '/var/tmp/web';
const STORAGE = '/srv/web';
const ADDRESS = { '192.0.2.100/24': '10.77.0.100/24' };
/** Jobs that wake up by themselves; on an emulated CPU each would be felt. */
const MASKED = [
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'dpkg-db-backup.timer',
  'fstrim.timer',
  'getty@tty1.service',
];

/** A Debian system as its packages make it, for a guest. */
export interface DebianImage {
  /** Root file system: ext4 on the whole disk. Copy it before a guest writes to it. */
  disk: string;
  /** Disk for the hosts: the tutorial's storage, but `root.img` there is a link to `rootDevice`. */
  storage: string;
}

/** Made if missing or out of date, by the tutorial's commands; the first time takes some minutes and a package mirror. */
export async function debianImage(rootDevice: string): Promise<DebianImage> {
  const system = await debianSystem();
  const settings = debianStep('settings', ADDRESS);
  const disk = debianStep('disk');
  const folder = await cachedImage({
    name: 'debian',
    settings: [basename(system), settings, disk, rootDevice, ...MASKED].join(),
    inputs: [{ path: debianFixtures }, ...guestSources],
    async make(target, scratch) {
      const storage = join(target, 'storage');
      const there = (commands: string): string => commands.replaceAll(SYSTEM, scratch).replaceAll(STORAGE, storage);
      await runHere('tar', ['-C', scratch, '--numeric-owner', '--xattrs', '-xpf', system]);
      await shellHere(there(settings));
      await addOurs(new RootTree(scratch));
      await shellHere(there(disk));
      renameSync(join(storage, 'root.img'), join(target, 'disk.img'));
      symlinkSync(rootDevice, join(storage, 'root.img'));
      await makeDiskImage(storage, join(target, 'storage.img'));
    },
  });
  return { disk: join(folder, 'disk.img'), storage: join(folder, 'storage.img') };
}

/** The packages, installed, as a tar file. */
function debianSystem(): Promise<string> {
  const commands = debianStep('system');
  return cachedImage({
    name: 'packages.tar',
    settings: commands,
    inputs: [],
    async make(target, scratch) {
      const system = join(scratch, 'web');
      await shellHere(commands.replaceAll(SYSTEM, system), { timeout: INSTALL_LIMIT_MS });
      await runHere('tar', ['-C', system, '--numeric-owner', '--xattrs', '-cpf', target, '.']);
    },
  });
}

async function addOurs(tree: RootTree): Promise<void> {
  // A machine ID that is there already: nothing is set up as at a first boot.
  cpSync(debianFixtures, tree.root, { recursive: true });
  await guestProgram(tree, 'usr/local/bin/lab-work');
  const units = 'etc/systemd/system';
  for (const unit of MASKED) link(tree, '/dev/null', `${units}/${unit}`);
}

function link(tree: RootTree, to: string, path: string): void {
  const place = tree.place(path);
  rmSync(place, { force: true });
  symlinkSync(to, place);
}
