import { z } from 'zod';
import { byteSchema, doubleWordSchema } from '../state-schema.js';
import { INTERRUPT_CONFIG_CHANGE, INTERRUPT_USED_BUFFER, STATUS } from './mmio-registers.js';
import { queuePositionSchema } from './queue.js';

/** 64 bits as they are in the registers: low half, high half. */
const pairSchema = z.tuple([doubleWordSchema, doubleWordSchema]);

const featureRegistersStateSchema = z.strictObject({
  deviceFeaturesSel: doubleWordSchema,
  driverFeaturesSel: doubleWordSchema,
  accepted: pairSchema,
});

const queueRegistersStateSchema = z.strictObject({
  size: doubleWordSchema,
  ready: z.boolean(),
  descriptorTable: pairSchema,
  availableRing: pairSchema,
  usedRing: pairSchema,
});

/** A virtio device with its transport, as it crosses in STATE. */
export const virtioStateSchema = z.strictObject({
  deviceId: doubleWordSchema,
  status: byteSchema,
  features: featureRegistersStateSchema,
  queueSel: doubleWordSchema,
  queues: z.array(queueRegistersStateSchema),
  /** By queue, while the driver is there; null for one that it does not use. */
  positions: z.array(queuePositionSchema.nullable()),
  interruptStatus: z
    .number()
    .int()
    .min(0)
    .max(INTERRUPT_USED_BUFFER | INTERRUPT_CONFIG_CHANGE),
  configGeneration: doubleWordSchema,
  /** What the model saved; it checks that itself. */
  device: z.unknown(),
});

export type FeatureRegistersState = z.infer<typeof featureRegistersStateSchema>;
export type QueueRegistersState = z.infer<typeof queueRegistersStateSchema>;
export type VirtioState = z.infer<typeof virtioStateSchema>;

/** Whether a driver uses the device: it is ready, and the device has not failed. */
export function isDriven(status: number): boolean {
  return (status & (STATUS.driverOk | STATUS.deviceNeedsReset)) === STATUS.driverOk;
}
