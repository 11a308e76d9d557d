import { runHere } from './commands.js';

/** Releases of Debian whose packages the lab uses: 12 and 13. */
export type DebianRelease = 'bookworm' | 'trixie';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const EXTRACT_LIMIT_MS = 600_000;
// What apt on this machine has of Debian itself; not its security updates, which have a mirror of their own.
const DEBIAN_INDEXES = ['Created-By: Packages', 'Origin: Debian', 'Label: Debian'];

async function knownMirror(): Promise<string | undefined> {
  const addresses = await runHere('apt-get', ['indextargets', '--format', '$(REPO_URI)', ...DEBIAN_INDEXES]);
  return addresses.split('\n').find((address) => address !== '');
}

/** The Debian mirror in this machine's own apt sources, in whatever format: it has the other releases as well. */
async function debianMirror(): Promise<string> {
  const known = await knownMirror();
  if (known !== undefined) return known;
  await runHere('apt-get', ['update', '-qq']); // a fresh machine does not know yet whose its sources are
  const mirror = await knownMirror();
  if (mirror === undefined) throw new Error('The lab needs Debian packages, and apt has no source of Debian main.');
  return mirror;
}

/**
 * Unpacks packages of a release, and all that they need, into a folder. Nothing is installed, and this machine may have
 * another release, with another version of them.
 */
export async function extractPackages(release: DebianRelease, packages: string[], folder: string): Promise<void> {
  process.stderr.write(`postcopy: fetching ${packages.join()} of Debian ${release} for the lab\n`);
  // As a line of apt's, which may have addresses that are no URL (mirror+file:, on Debian's cloud images).
  const source = `deb [signed-by=${KEYRING}] ${await debianMirror()} ${release} main`;
  const options = ['--quiet', '--variant=extract', `--include=${packages.join()}`, release, folder, source];
  try {
    await runHere('mmdebstrap', options, { timeout: EXTRACT_LIMIT_MS });
  } catch (cause) {
    const hint = 'if apt lacks its key: apt-get install debian-archive-keyring';
    const what = `${packages.join()} of Debian ${release}`;
    throw new Error(`The lab cannot have ${what} (${hint}): ${(cause as Error).message}`, { cause });
  }
}
