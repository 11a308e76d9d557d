import { z } from 'zod';
import type { DiskConfig } from './disk-config.js';
import { textOrObject } from './device-setting.js';
import { diskObjectSchema, parseDiskSetting } from './disk-setting.js';

/** As many as the guest has room for, next to its other devices. */
export const DISKS_MAX = 10;

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
