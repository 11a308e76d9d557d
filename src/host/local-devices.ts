import type { DiskConfig } from '../configure/disk.js';
import type { NetConfig, NetPlace } from '../configure/net.js';
import { PostcopyError } from '../errors.js';
import type { DeviceDescription } from './device-description.js';

/** What the devices of a VM that comes are on this host. */
export interface DeviceOverrides {
  disks?: { id: string; path: string }[];
  nets?: NetPlace[];
}

/**
 * Disks and interfaces of a VM that comes, as this host opens them. Throws BAD_CONFIG for one that the VM does not have,
 * and for one of which nothing is said: the other host names no files of this one, and a guest must not be cut off because
 * nobody thought of its interface.
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
      const how = `--disk id=${id},path=FILE (${path} at the source)`;
      return { ...requireGiven(disks, id, 'disk', how), readonly };
    }),
    nets: hasNet.map(({ id, mac, mtu }) => {
      return { ...requireGiven(nets, id, 'interface', `--net id=${id}[,tap=NAME][,bridge=NAME]`), mac, mtu };
    }),
  };
}

function requireGiven<T extends { id: string }>(given: readonly T[], id: string, what: string, how: string): T {
  const found = given.find((device) => device.id === id);
  if (found !== undefined) return found;
  throw new PostcopyError('BAD_CONFIG', `nobody said what the VM's ${what} ${id} is on this host: receive ${how}`);
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
