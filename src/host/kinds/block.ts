import { z } from 'zod';
import { diskErrorActionSchema, type DiskPlace } from '../../configure/disk.js';
import { IDENTITY_BYTES_MAX } from '../disk-identity.js';
import { SECTOR_BYTES } from '../../devices/virtio/block/config-space.js';
import type { HostDiskConfig } from '../disk-types.js';
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
    format: z.literal('raw').optional(),
    /** Peers before version 8 do not say, nor do they hear it. */
    onError: diskErrorActionSchema.optional(),
    /** As the guest knows it. */
    bytes: z.number().int().positive().multipleOf(SECTOR_BYTES),
    /** disk-identity.ts: of a block device that has one. Peers before version 8 do not say. */
    identity: z.string().max(IDENTITY_BYTES_MAX).optional(),
  }),

  open({ disks: configs }: { disks: readonly HostDiskConfig[] }, { whoUses }) {
    const disks = HostDisks.open(configs, whoUses);
    return {
      disks,
      describe: () => disks.describe().map((disk) => ({ kind: 'block', ...disk })),
      backends: () =>
        disks.open.map(({ config: { id, readonly, onError }, bytes, disk: { handle }, errors: { shared } }) => {
          return { kind: 'block', id, readonly, onError, bytes, handle, errors: shared };
        }),
      status: () => ({ disks: disks.status() }),
      objections: (wanted, sameHost, signal) => disks.objections(wanted, sameHost, signal),
      close: () => disks.close(),
    };
  },

  place(devices, { disks = [] }: { disks?: readonly DiskPlace[] }) {
    requireKnown('disk', disks, devices);
    return {
      disks: devices.map(({ id, path: theirs, readonly, format, onError, bytes }) => {
        const what = `disk ${id} (${theirs} at the source)`;
        const { path, unproven = false } = requirePlace(disks, what, { kind: 'disk-unplaced', id });
        const given = { ...(format === undefined ? {} : { format }), ...(onError === undefined ? {} : { onError }) };
        return { id, path, readonly, ...given, coming: { bytes, unproven } };
      }),
    };
  },
});
