import type { DiskConfig } from '../configure/disk-config.js';
import type { NetConfig } from '../configure/net-config.js';
import { PostcopyError } from '../errors.js';
import type { DeviceDescription } from '../migrate/message.js';

/** What the devices of a VM that comes are on this host; a disk that is not named has its path of the source. */
export interface DeviceOverrides {
  disks?: { id: string; path: string }[];
  nets?: { id: string; tap?: string; bridge?: string }[];
}

/**
 * Disks and interfaces of a VM that comes, as this host opens them. Throws BAD_CONFIG for an override of a device that the
 * VM does not have, and for an interface that is not named: a guest must not be cut off because nobody thought of it.
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
    nets: hasNet.map(({ id, mac }) => ({ ...requireGiven(nets, id), id, mac })),
  };
}

function requireGiven(nets: NonNullable<DeviceOverrides['nets']>, id: string): { tap?: string; bridge?: string } {
  const given = nets.find((net) => net.id === id);
  if (given !== undefined) return given;
  const how = `receive --net id=${id}[,tap=NAME][,bridge=NAME]`;
  throw new PostcopyError('BAD_CONFIG', `nobody said what the VM's interface ${id} is on this host: ${how}`);
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
