/** Disks: what a user says of them, checked. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { PostcopyError } from '../errors.js';
import { DEVICE_ID, deviceIdSchema, textOrObject } from './device-setting.js';

/** What becomes of the guest when the host fails a request of a disk. */
const DISK_ERROR_ACTIONS = ['stop', 'report'] as const;
export type DiskErrorAction = (typeof DISK_ERROR_ACTIONS)[number];
/** In the settings, and as the other host is told. */
export const diskErrorActionSchema = z.enum(DISK_ERROR_ACTIONS, 'must be stop or report');

/** A disk of a VM (--disk path=FILE,id=ID,readonly), checked. */
export interface DiskConfig {
  /** Names it among the VM's disks, also to the guest (its serial number): 1 to 20 of a-z A-Z 0-9 . _ - */
  id: string;
  /** A raw image or a block device. */
  path: string;
  readonly: boolean;
  /** The file is raw although it begins as an image of another format does. */
  format?: 'raw';
  /** Without it the guest stops where the host is out of space, and is given all other errors. */
  onError?: DiskErrorAction;
}

/** A disk as a user gives it. */
export interface DiskSetting extends Omit<DiskConfig, 'id'> {
  id?: string;
}

/** Where a disk of a VM that comes is on this host. */
export interface DiskPlace {
  id: string;
  path: string;
  /** The operator takes it for the VM's disk although nothing shows that it is. */
  unproven?: true;
}

/** As many as the guest has room for, next to its other devices. */
export const DISKS_MAX = 10;

const DISK_FORM = 'path=FILE[,readonly][,id=ID][,format=raw][,on-error=stop|report]';
const PLACE_FORM = 'id=ID,path=FILE[,unproven]';

/** In a configuration file; paths are absolute or relative to the working directory. */
const diskObjectSchema = z.strictObject({
  path: z
    .string('give the path of the image or block device')
    .refine((path) => path !== '' && !path.includes('\0'), { error: 'is no path' })
    .transform((path) => resolve(path)),
  readonly: z.boolean('must be true or false').default(false),
  id: deviceIdSchema.optional(),
  format: z.literal('raw', 'must be raw: other formats are not understood').optional(),
  onError: diskErrorActionSchema.optional(),
});

/** The disks of a VM, in the order in which the guest finds them; disk0, disk1, ... for those without an id. */
export const disksSchema = z
  .array(textOrObject(parseDiskSetting, diskObjectSchema), 'must be a list')
  .max(DISKS_MAX, { error: `a VM has at most ${DISKS_MAX} disks` })
  .transform((disks, context) => {
    const named = disks.map(({ id, ...disk }, i): DiskConfig => ({ ...disk, id: id ?? `disk${i}` }));
    for (const [i, { id }] of named.entries()) {
      if (named.findIndex((other) => other.id === id) === i) continue;
      context.addIssue({ code: 'custom', path: [i, 'id'], message: `'${id}' is the id of another disk` });
    }
    return named;
  });

/** Parses text of DISK_FORM; relative paths begin at `base`. Throws BAD_CONFIG. */
export function parseDiskSetting(text: string, base: string = process.cwd()): DiskSetting {
  const fields = splitSetting(text, DISK_FORM, ['path=', 'id=', 'readonly', 'format=', 'on-error=']);
  const format = fields.get('format=');
  if (format !== undefined && format !== 'raw')
    throw badDisk(text, `the format '${format}' is not understood, only raw is`);
  const onError = diskErrorActionSchema.optional().safeParse(fields.get('on-error='));
  if (!onError.success) throw badDisk(text, 'on-error must be stop or report');
  return {
    ...pathAndId(text, fields, DISK_FORM, base),
    readonly: fields.has('readonly'),
    ...(format === undefined ? {} : { format }),
    ...(onError.data === undefined ? {} : { onError: onError.data }),
  };
}

/** Parses what `receive` is given, `id=ID,path=FILE[,unproven]`. Throws BAD_CONFIG. */
function parseDiskPlace(text: string): DiskPlace {
  const fields = splitSetting(text, PLACE_FORM, ['path=', 'id=', 'readonly', 'format=', 'on-error=', 'unproven']);
  const { id, path } = pathAndId(text, fields, PLACE_FORM, process.cwd());
  if (id === undefined) throw badDisk(text, 'say which disk of the VM it is (id=ID,path=FILE)');
  if (fields.has('readonly')) throw badDisk(text, 'whether it is read-only comes with the VM');
  if (fields.has('format=')) throw badDisk(text, 'its format comes with the VM');
  if (fields.has('on-error=')) throw badDisk(text, 'what its errors do comes with the VM');
  return { id, path, ...(fields.has('unproven') ? { unproven: true } : {}) };
}

/** Several of them. Throws BAD_CONFIG. */
export function parseDiskPlaces(texts: readonly string[]): DiskPlace[] {
  const places = texts.map(parseDiskPlace);
  for (const [i, { id }] of places.entries()) {
    if (places.findIndex((other) => other.id === id) === i) continue;
    throw badDisk(texts[i]!, `disk ${id} has a place already`);
  }
  return places;
}

/** A disk in a configuration file with its path from the file's directory; what is no disk stays as it is. */
export function withDiskPathFrom(base: string, disk: unknown): unknown {
  if (typeof disk === 'string') {
    try {
      return parseDiskSetting(disk, base);
    } catch {
      return disk; // the check that follows tells what is wrong with it
    }
  }
  const path = (disk as { path?: unknown } | null)?.path;
  return typeof path === 'string' && path !== '' ? { ...(disk as object), path: resolve(base, path) } : disk;
}

/** Of what was given: key, with its `=` if it has one, to value. */
type Fields = ReadonlyMap<string, string>;

/** The parts between commas; two commas are one that belongs to a value, as QEMU has it. */
function splitSetting(text: string, form: string, keys: readonly string[]): Fields {
  const fields = new Map<string, string>();
  if (text.includes('\0')) throw badDisk(text, 'it contains a NUL character');
  for (const part of text.replaceAll(',,', '\0').split(',')) {
    const whole = part.replaceAll('\0', ',');
    const key = keys.find((name) => (name.endsWith('=') ? whole.startsWith(name) : whole === name));
    if (key === undefined) throw badDisk(text, `give ${form}, a comma in a path as two`);
    if (fields.has(key)) throw badDisk(text, `${key.replace('=', '')} is given twice`);
    fields.set(key, whole.slice(key.length));
  }
  return fields;
}

function pathAndId(text: string, fields: Fields, form: string, base: string): { path: string; id?: string } {
  const [path, id] = [fields.get('path='), fields.get('id=')];
  if (path === undefined || path === '') throw badDisk(text, `give ${form}`);
  if (id !== undefined && !DEVICE_ID.test(id)) {
    throw badDisk(text, `the id '${id}' is not 1 to 20 letters, digits, dots, hyphens and underscores`);
  }
  return { path: resolve(base, path), ...(id === undefined ? {} : { id }) };
}

function badDisk(text: string, why: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', `'${text}' is no disk setting: ${why}`);
}
