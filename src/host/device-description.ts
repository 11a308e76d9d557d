import { z } from 'zod';
import { HOST_KINDS, type DeviceDescription, type KindName } from './kinds/table.js';

export type { DeviceDescription };

type Schema = (typeof HOST_KINDS)[KindName]['description'];

/** A virtio device, without what only its host knows: one member for each kind. */
export const deviceDescription = z.discriminatedUnion(
  'kind',
  Object.values(HOST_KINDS).map((kind) => kind.description) as [Schema, ...Schema[]],
);
