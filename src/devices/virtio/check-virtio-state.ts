import { PostcopyError } from '../../errors.js';
import { FeatureRegisters } from './feature-registers.js';
import { STATUS } from './mmio-registers.js';
import type { VirtioDevice } from './virtio-device.js';
import { isDriven, virtioStateSchema, type VirtioState } from './virtio-state.js';

/** Saved state that fits this device. Throws BAD_PEER for what no postcopy saves, REFUSED for another device's. */
export function checkVirtioState(state: unknown, device: VirtioDevice): VirtioState {
  const parsed = virtioStateSchema.safeParse(state);
  if (!parsed.success) {
    throw new PostcopyError(
      'BAD_PEER',
      'the state of a virtio device cannot be used: use the same postcopy version on both hosts',
      parsed.error,
    );
  }
  requireSameDevice(parsed.data, device);
  requireFeatures(parsed.data, device);
  requirePositions(parsed.data);
  return parsed.data;
}

function requireSameDevice(saved: VirtioState, device: VirtioDevice): void {
  if (saved.deviceId !== device.deviceId) {
    throw refused(`a device of type ${saved.deviceId} at the source is one of type ${device.deviceId} here`);
  }
  if (saved.queues.length !== device.queueSizes.length) {
    const [there, here] = [saved.queues.length, device.queueSizes.length];
    throw refused(`a device of type ${device.deviceId} has ${there} queues at the source, and ${here} here`);
  }
}

/** A driver counts on what it was promised. */
function requireFeatures(saved: VirtioState, device: VirtioDevice): void {
  if ((saved.status & STATUS.featuresOk) === 0 && !isDriven(saved.status)) return;
  const features = new FeatureRegisters(device.features);
  features.restore(saved.features);
  if (features.acceptable) return;
  const missing = `0x${features.refused.toString(16)}`;
  throw refused(`the guest uses features (${missing}) that its device of type ${device.deviceId} does not have here`);
}

function requirePositions(saved: VirtioState): void {
  if (!isDriven(saved.status)) return;
  const complete = saved.queues.every((queue, index) => queue.ready === ((saved.positions[index] ?? null) !== null));
  if (!complete) throw new PostcopyError('BAD_PEER', 'the state of a virtio device lacks that of its queues');
}

function refused(why: string): PostcopyError {
  return new PostcopyError('REFUSED', `${why}: give both hosts the same devices`);
}
