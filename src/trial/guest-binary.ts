/** Where postcopy's own guest is (native/guest/): packed with the addon, or as the build leaves it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PostcopyError } from '../errors.js';
import { packageRoot } from '../native.js';

const PLACES = ['prebuilds/linux-x64/guest.elf', 'build/Release/guest.elf'];

export function guestBinary(): string {
  const found = PLACES.map((place) => join(packageRoot, place)).find((path) => existsSync(path));
  if (found === undefined) {
    throw new PostcopyError('INTERNAL', "postcopy's own guest is not built: run `npm run build` in its directory");
  }
  return found;
}
