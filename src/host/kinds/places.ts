/** What is said on this host of the devices of a VM that comes, held against the devices that it has. */
import { PostcopyError, type Fact } from '../../errors.js';

/**
 * What is said of the device that `unplaced` is about, and that `what` names. Throws BAD_CONFIG if nothing is: the other host
 * names no files of this one, and a guest must not be cut off because nobody thought of its interface.
 */
export function requirePlace<Place extends { id: string }>(
  places: readonly Place[],
  what: string,
  unplaced: Extract<Fact, { id: string }>,
): Place {
  const found = places.find((place) => place.id === unplaced.id);
  if (found !== undefined) return found;
  const why = `nobody said what the VM's ${what} is on this host: say it where the VM is waited for`;
  throw new PostcopyError('BAD_CONFIG', why, undefined, [unplaced]);
}

/** Throws BAD_CONFIG for a place of a device that the VM does not have. */
export function requireKnown(
  what: string,
  places: readonly { id: string }[],
  devices: readonly { id: string }[],
): void {
  const ids = devices.map((device) => device.id);
  for (const { id } of places) {
    if (ids.includes(id)) continue;
    throw new PostcopyError(
      'BAD_CONFIG',
      `the VM has no ${what} '${id}'; it has ${ids.length === 0 ? 'none' : ids.join(', ')}`,
    );
  }
}
