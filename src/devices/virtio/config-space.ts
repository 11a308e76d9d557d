import type { VirtioDevice } from './virtio-device.js';

/** Accesses to the device-specific configuration space (virtio 1.2, 2.5) of 1, 2 or 4 bytes, at any offset. */

/** What lies behind its end reads as zero. */
export function readConfig(device: VirtioDevice, offset: number, size: number): number {
  const bytes = device.config();
  let value = 0;
  for (let at = size - 1; at >= 0; at--) value = value * 0x100 + (bytes[offset + at] ?? 0);
  return value;
}

/** A write that goes beyond the end is lost. */
export function writeConfig(device: VirtioDevice, offset: number, size: number, value: number): void {
  if (device.writeConfig === undefined || offset + size > device.config().length) return;
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = value >>> (8 * at);
  device.writeConfig(offset, bytes);
}
