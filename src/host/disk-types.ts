/** Disks, as this host opens them and tells the other host of them. */
import type { DiskConfig } from '../configure/disk.js';

/** A disk as this host is to open it. */
export interface HostDiskConfig extends DiskConfig {
  /** Of a VM that comes from another host. */
  coming?: { bytes: number; unproven: boolean };
}

/** A disk, as the other host is told of it. */
export interface DiskDescription extends Omit<DiskConfig, 'format' | 'onError'> {
  format?: DiskConfig['format'] | undefined;
  onError?: DiskConfig['onError'] | undefined;
  /** As the guest knows it; the file may have grown since. */
  bytes: number;
  /** disk-identity.ts: of a block device. */
  identity?: string | undefined;
}
