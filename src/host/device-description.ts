import { z } from 'zod';
import { macSchema } from '../configure/net.js';

/** A virtio device, without what only its host knows. */
export const deviceDescription = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('console') }),
  z.object({ kind: z.literal('rng') }),
  z.object({ kind: z.literal('balloon') }),
  /** path: at the source. */
  z.object({
    kind: z.literal('block'),
    id: z.string().max(20),
    path: z.string(),
    readonly: z.boolean(),
    bytes: z.number().int().nonnegative(),
  }),
  /** mtu: as the guest was told of it, 0 if it was not. */
  z.object({
    kind: z.literal('net'),
    id: z.string().max(20),
    mac: macSchema,
    mtu: z.number().int().min(0).max(65535),
  }),
]);
export type DeviceDescription = z.infer<typeof deviceDescription>;
