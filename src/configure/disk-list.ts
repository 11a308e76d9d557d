import { z } from 'zod';
import type { DiskConfig } from './disk-config.js';
import { diskObjectSchema, parseDiskSetting, type DiskSetting } from './disk-setting.js';

/** As many as the guest has room for, next to its other devices. */
export const DISKS_MAX = 10;

type DiskInput = string | z.input<typeof diskObjectSchema>;

/** Text in the form of --disk, or an object of the same fields. */
const diskSchema = z.preprocess((value, context) => {
  if (typeof value !== 'string') return value;
  try {
    return parseDiskSetting(value);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
    return z.NEVER;
  }
}, diskObjectSchema) as unknown as z.ZodType<DiskSetting, DiskInput>;

/** The disks of a VM, in the order in which the guest finds them; disk0, disk1, ... for those without an id. */
export const disksSchema = z
  .array(diskSchema, 'must be a list')
  .max(DISKS_MAX, { error: `a VM has at most ${DISKS_MAX} disks` })
  .transform((disks, context) => {
    const named = disks.map(({ id, ...disk }, i): DiskConfig => ({ ...disk, id: id ?? `disk${i}` }));
    for (const [i, { id }] of named.entries()) {
      if (named.findIndex((other) => other.id === id) === i) continue;
      context.addIssue({ code: 'custom', path: [i, 'id'], message: `'${id}' is the id of another disk` });
    }
    return named;
  });
