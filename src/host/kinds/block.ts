import { z } from 'zod';
import type { DiskConfig, DiskPlace } from '../../configure/disk.js';
import { HostDisks } from '../host-disks.js';
import { hostKind } from './kind.js';
import { requireKnown, requirePlace } from './places.js';

/** Disks. */
export const blockKind = hostKind({
  description: z.object({
    kind: z.literal('block'),
    id: z.string().max(20),
    /** At the source. */
    path: z.string(),
    readonly: z.boolean(),
    bytes: z.number().int().nonnegative(),
  }),

  open({ disks: configs }: { disks: readonly DiskConfig[] }, { whoUses }) {
    const disks = HostDisks.open(configs, whoUses);
    return {
      disks,
      describe: () => disks.describe().map((disk) => ({ kind: 'block', ...disk })),
      backends: () =>
        disks.open.map(({ config: { id, readonly }, disk: { handle } }) => ({ kind: 'block', id, readonly, handle })),
      status: () => ({ disks: disks.status() }),
      close: () => disks.close(),
    };
  },

  place(devices, { disks = [] }: { disks?: readonly DiskPlace[] }) {
    requireKnown('disk', disks, devices);
    return {
      disks: devices.map(({ id, path, readonly }) => {
        const what = `disk ${id} (${path} at the source)`;
        return { ...requirePlace(disks, what, { kind: 'disk-unplaced', id }), readonly };
      }),
    };
  },

  differences(wanted, here) {
    if (wanted.bytes === here.bytes) return [];
    const text =
      `disk ${wanted.id} has ${wanted.bytes} bytes at the source, ${here.path} has ${here.bytes} here: ` +
      'give the one that both hosts share';
    return [{ text, facts: [{ kind: 'disk-differs', id: wanted.id }] }];
  },
});
