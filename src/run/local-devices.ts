import type { DiskConfig } from '../configure/disk-config.js';
import type { NetConfig } from '../configure/net-config.js';
import { PostcopyError } from '../errors.js';
import type { DeviceDescription } from '../migrate/message.js';

/** What the devices of a VM that comes are on this host; those that are not named here are as at the source. */
export interface DeviceOverrides {
  disks?: { id: string; path: string }[];
  nets?: { id: string; tap?: string; bridge?: string }[];
}

/**
 * Disks and interfaces of a VM that comes, as this host opens them. An interface that is not named gets a TAP device of
 * its own, on no bridge. Throws BAD_CONFIG for an override of a device that the VM does not have.
 */
export function localDevices(
  devices: readonly DeviceDescription[],
  { disks = [], nets = [] }: DeviceOverrides,
): { disks: DiskConfig[]; nets: NetConfig[] } {
  const hasBlock = devices.filter((device) => device.kind === 'block');
  const hasNet = devices.filter((device) => device.kind === 'net');
  requireKnown('disk', disks, hasBlock);
  requireKnown('network interface', nets, hasNet);
  return {
    disks: hasBlock.map(({ id, path, readonly }) => {
      return { id, readonly, path: disks.find((disk) => disk.id === id)?.path ?? path };
    }),
    nets: hasNet.map(({ id, mac }) => ({ ...nets.find((net) => net.id === id), id, mac })),
  };
}

function requireKnown(what: string, overrides: { id: string }[], devices: { id: string }[]): void {
  const ids = devices.map((device) => device.id);
  for (const { id } of overrides) {
    if (ids.includes(id)) continue;
    throw new PostcopyError(
      'BAD_CONFIG',
      `the VM has no ${what} '${id}'; it has ${ids.length === 0 ? 'none' : ids.join(', ')}`,
    );
  }
}
