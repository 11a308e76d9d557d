/**
 * What says of a block device, on any host that sees it, which one it is: its World Wide Name, the UUID of the device
 * mapper, or its serial number, as sysfs has them. The name of the device and its numbers are each host's own.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** As long as it may be in HELLO; a WWID of SCSI has some 250 bytes at most. */
export const IDENTITY_BYTES_MAX = 512;

/** `scheme:value`; undefined for a file, and for a device that has none. Never throws. */
export function diskIdentity(path: string): string | undefined {
  try {
    const found = statSync(path);
    return found.isBlockDevice() ? deviceIdentity(realpathSync(sysfsOf(found.rdev))) : undefined;
  } catch {
    return undefined; // gone, or a host without sysfs: nothing is known of it
  }
}

/** False as well for what is not there. */
export function isBlockDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() ?? false;
}

/** Whether both are of one kind, so that they differ if the devices do. */
export function comparable(one: string, other: string): boolean {
  return one.slice(0, one.indexOf(':')) === other.slice(0, other.indexOf(':'));
}

/** The directory of a block device in sysfs, by its number as stat(2) has it. */
export function sysfsOf(rdev: number): string {
  const major = ((rdev / 2 ** 32) & 0xfffff000) | ((rdev >>> 8) & 0xfff);
  const minor = ((rdev / 2 ** 12) & 0xffffff00) | (rdev & 0xff);
  return `/sys/dev/block/${major}:${minor}`;
}

/** `directory`: the device's in sysfs, without links. */
export function deviceIdentity(directory: string): string | undefined {
  const partition = fileIn(directory, 'partition');
  if (partition !== undefined) {
    const whole = deviceIdentity(dirname(directory));
    return whole === undefined ? undefined : cut(`${whole}-part${partition}`);
  }
  const uuid = fileIn(directory, 'dm/uuid');
  // dm-multipath has the WWN of the device that its paths lead to; `3` is the type of name that sysfs calls naa.
  const path = /^mpath-3([0-9a-f]+)$/.exec(uuid ?? '')?.[1];
  if (path !== undefined) return `wwid:naa.${path}`;
  if (uuid !== undefined) return cut(`dm:${uuid}`);
  const wwid = fileIn(directory, 'wwid') ?? fileIn(directory, 'device/wwid');
  if (wwid !== undefined) return cut(`wwid:${wwid}`);
  const serial = fileIn(directory, 'serial') ?? fileIn(directory, 'device/serial');
  return serial === undefined ? undefined : cut(`serial:${serial}`);
}

function cut(identity: string): string | undefined {
  return identity.length <= IDENTITY_BYTES_MAX ? identity : undefined;
}

/** What is in a file of one line; undefined if it is not there, or says nothing. */
function fileIn(directory: string, name: string): string | undefined {
  try {
    const text = readFileSync(join(directory, name), 'utf8').trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}
