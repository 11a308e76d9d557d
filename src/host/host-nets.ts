import type { NetConfig } from '../configure/net.js';
import { native, type NativeTap } from '../native.js';
import { blockedBy } from './bridge-port.js';
import { mtuToTell } from '../devices/virtio/net/config-space.js';
import { cannotOpen, tooSmall } from './net-errors.js';

export interface NetStatus {
  id: string;
  /** Of the guest's interface. */
  mac: string;
  /** The TAP device on this host. */
  tap: string;
}

/** A network interface, as the other host is told of it. */
export interface NetDescription {
  id: string;
  mac: string;
  /** As the guest is told of it; NO_MTU if it is not. */
  mtu: number;
}

interface OpenNet extends NetDescription {
  tap: NativeTap;
}

/** The network interfaces of one VM on this host, on the main thread. Frames are the device worker's, by the handles. */
export class HostNets {
  private constructor(
    /** In the order of the configuration, as all here. */
    readonly open: readonly OpenNet[],
  ) {}

  /** Makes or opens the TAP devices, up and in their bridges. Throws PostcopyError with nothing left behind. */
  static open(configs: readonly NetConfig[]): HostNets {
    const nets: OpenNet[] = [];
    try {
      for (const config of configs) nets.push(openNet(config));
    } catch (error) {
      for (const { tap } of nets) tap.close();
      throw error;
    }
    return new HostNets(nets);
  }

  describe(): NetDescription[] {
    return this.open.map(({ id, mac, mtu }) => ({ id, mac, mtu }));
  }

  /** As `postcopy status` shows them; the kernel may have picked the names. */
  status(): NetStatus[] {
    return this.open.map(({ id, mac, tap }) => ({ id, mac, tap: tap.name }));
  }

  /** Of interfaces of which nothing gets out yet, what is the matter. */
  silent(): string[] {
    return this.open.flatMap(({ id, tap: { name } }) => {
      const bridge = blockedBy(name);
      if (bridge === undefined) return [];
      return [
        `the guest's interface ${id} is not heard yet: the bridge ${bridge} has a spanning tree (STP), and passes on nothing of ` +
          `the new port ${name} for some 30 s; switch it off (ip link set ${bridge} type bridge stp_state 0), or have the TAP ` +
          'device made before',
      ];
    });
  }

  /** After the device worker has let go of them. TAP devices that were not there before go away. */
  close(): void {
    for (const { tap } of this.open) tap.close();
  }
}

function openNet(config: NetConfig): OpenNet {
  const tap = openTap(config);
  try {
    const { mtu } = tap;
    if (config.mtu !== undefined && config.mtu > mtu) throw tooSmall(config, config.mtu, tap.name, mtu);
    return { id: config.id, mac: config.mac, mtu: config.mtu ?? mtuToTell(mtu), tap };
  } catch (error) {
    tap.close();
    throw error;
  }
}

function openTap(config: NetConfig): NativeTap {
  try {
    return new native.Tap(config.tap ?? '', config.bridge ?? '');
  } catch (error) {
    throw cannotOpen(config, error);
  }
}
