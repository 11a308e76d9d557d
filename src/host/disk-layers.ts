/**
 * What lies beneath a disk: the file of a loop device, the device of a partition, the devices that the device mapper or md
 * makes another one of. Two VMs that are given one image by its path and by a loop device on it would both get the lock of
 * what they were given, so who uses a disk locks what is beneath as well, as far as the disk reaches into it.
 */
import { readdirSync, readFileSync, realpathSync, statSync, type BigIntStats } from 'node:fs';
import { dirname, join } from 'node:path';
import { SECTOR_BYTES } from '../devices/virtio/block/config-space.js';
import { sysfsOf } from './disk-identity.js';

export interface DiskLayer {
  path: string;
  /** The bytes of it that the disk reaches; a length of 0 is to its end. */
  start: number;
  length: number;
  /** Others use other parts of it, and nobody here knows which: the volumes of a volume group. */
  shared: boolean;
}

/** Deeper than anybody stacks devices. */
const DEPTH_MAX = 16;

/** None for a file, and none without sysfs. Throws the system's error where something cannot be looked through. */
export function layersBeneath(path: string): DiskLayer[] {
  const found = statSync(path);
  if (!found.isBlockDevice()) return [];
  const directory = statSync(sysfsOf(found.rdev), { throwIfNoEntry: false }) && realpathSync(sysfsOf(found.rdev));
  if (directory === undefined) return [];
  const whole = { start: 0, length: 0, shared: false };
  const node = nodeOf(directory);
  // Locks belong to the node of a device, not to the device.
  const itself = isSameNode(path, node) ? [] : [{ path: node, ...whole }];
  return [...itself, ...layersOf(directory, whole, 0)];
}

/** Whether what is written to the one is seen in the other, or may be: also two paths of one file. Never throws. */
export function sharesBytes(a: string, b: string): boolean {
  try {
    const [one, other] = [reachOf(a), reachOf(b)];
    return one.some((layer) => other.some((its) => meets(layer, its)));
  } catch {
    return false;
  }
}

interface Reach extends DiskLayer {
  /** Of the file or device. */
  identity: string;
}

function reachOf(path: string): Reach[] {
  const layers = [{ path, start: 0, length: 0, shared: false }, ...layersBeneath(path)];
  return layers.map((layer) => ({ ...layer, identity: identityOf(statSync(layer.path, { bigint: true })) }));
}

function meets(a: Reach, b: Reach): boolean {
  if (a.identity !== b.identity || (a.shared && b.shared)) return false;
  return a.start < endOf(b) && b.start < endOf(a);
}

function endOf({ start, length }: Reach): number {
  return length === 0 ? Infinity : start + length;
}

type Part = Omit<DiskLayer, 'path'>;

/** `directory`: a device's in sysfs. `part`: of it. */
function layersOf(directory: string, part: Part, depth: number): DiskLayer[] {
  if (depth === DEPTH_MAX) return [];
  return [...ofPartition(directory, part), ...ofLoop(directory, part), ...ofSlaves(directory)].flatMap((layer) => {
    const found = statSync(layer.path);
    if (!found.isBlockDevice()) return [layer];
    return [layer, ...layersOf(realpathSync(sysfsOf(found.rdev)), layer, depth + 1)];
  });
}

function ofPartition(directory: string, part: Part): DiskLayer[] {
  if (textOf(directory, 'partition') === undefined) return [];
  const [start, size] = ['start', 'size'].map((name) => Number(textOf(directory, name)) * SECTOR_BYTES);
  return [{ path: nodeOf(dirname(directory)), ...within(part, start!, size!) }];
}

function ofLoop(directory: string, part: Part): DiskLayer[] {
  const path = textOf(directory, 'loop/backing_file');
  // One that is deleted can be given to nobody else.
  if (path === undefined || path.endsWith(' (deleted)')) return [];
  const [offset, limit] = ['offset', 'sizelimit'].map((name) => Number(textOf(directory, `loop/${name}`) ?? 0));
  return [{ path, ...within(part, offset!, limit!) }];
}

/** Of the device mapper, and md. */
function ofSlaves(directory: string): DiskLayer[] {
  const slaves = join(directory, 'slaves');
  if (statSync(slaves, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(slaves).map((name) => {
    return { path: nodeOf(realpathSync(join(slaves, name))), start: 0, length: 0, shared: true };
  });
}

/** A part of what begins at `start` of the layer beneath, and is `size` long; 0 is to its end. */
function within(part: Part, start: number, size: number): Part {
  const length = part.length === 0 && size > 0 ? Math.max(1, size - part.start) : part.length;
  return { start: start + part.start, length, shared: part.shared };
}

function nodeOf(directory: string): string {
  const name = /^DEVNAME=(.*)$/m.exec(readFileSync(join(directory, 'uevent'), 'utf8'))?.[1];
  return `/dev/${name ?? directory.slice(directory.lastIndexOf('/') + 1)}`;
}

function isSameNode(path: string, node: string): boolean {
  const [one, other] = [statSync(path), statSync(node, { throwIfNoEntry: false })];
  return other === undefined || (one.dev === other.dev && one.ino === other.ino);
}

function identityOf(stats: BigIntStats): string {
  return stats.isBlockDevice() ? `device ${stats.rdev}` : `${stats.dev} ${stats.ino}`;
}

/** Of a file of one line; undefined if it is not there. */
function textOf(directory: string, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), 'utf8').trim();
  } catch {
    return undefined;
  }
}
