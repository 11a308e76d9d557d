import type { NetConfig } from '../configure/net-config.js';
import type { NetStatus } from '../control/service.js';
import { native, type NativeTap } from '../native.js';
import { cannotOpen } from './net-errors.js';

/** A network interface, as the other host is told of it. */
export interface NetDescription {
  id: string;
  mac: string;
}

/** The network interfaces of one VM on this host, on the main thread. Frames are the device worker's, by the handles. */
export class HostNets {
  readonly #configs: readonly NetConfig[];
  readonly #taps: readonly NativeTap[];

  private constructor(configs: readonly NetConfig[], taps: readonly NativeTap[]) {
    this.#configs = configs;
    this.#taps = taps;
  }

  /** Makes or opens the TAP devices, up and in their bridges. Throws PostcopyError with nothing left behind. */
  static open(configs: readonly NetConfig[]): HostNets {
    const taps: NativeTap[] = [];
    try {
      for (const config of configs) taps.push(openTap(config));
    } catch (error) {
      for (const tap of taps) tap.close();
      throw error;
    }
    return new HostNets(configs, taps);
  }

  /** In the order of the configuration, as all here. */
  get handles(): number[] {
    return this.#taps.map((tap) => tap.handle);
  }

  describe(): NetDescription[] {
    return this.#configs.map(({ id, mac }) => ({ id, mac }));
  }

  /** As `postcopy status` shows them; the kernel may have picked the names. */
  status(): NetStatus[] {
    return this.#configs.map(({ id, mac }, i) => ({ id, mac, tap: this.#taps[i]!.name }));
  }

  /** After the device worker has let go of them. TAP devices that were not there before go away. */
  close(): void {
    for (const tap of this.#taps) tap.close();
  }
}

function openTap(config: NetConfig): NativeTap {
  try {
    return new native.Tap(config.tap ?? '', config.bridge ?? '');
  } catch (error) {
    throw cannotOpen(config, error);
  }
}
