import { z } from 'zod';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, type NativeMemory, type NativeTap } from '../../../native.js';
import type { PollSource } from '../../poll-source.js';
import type { Driver, VirtioDevice } from '../virtio-device.js';
import { announcement } from './announce.js';
import { macBytes, netConfig, NO_MTU, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP } from './config-space.js';
import { ControlQueue } from './control-queue.js';
import {
  has,
  NET_FEATURES,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_MTU,
} from './features.js';
import { Receiver } from './receive.js';
import { Transmitter } from './transmit.js';

/** Network Device (virtio 1.2, 5.1). */
const DEVICE_ID = 1;
const RECEIVEQ = 0;
const TRANSMITQ = 1;
const CONTROLQ = 2;
const QUEUE_SIZES = [256, 256, 16];
/** More than a TAP device keeps (its txqueuelen). */
const STALE_FRAMES_MAX = 4096;

const stateSchema = z.strictObject({
  version: z.literal(1),
  /** The driver was asked to announce itself, and has not said that it did. */
  announce: z.boolean(),
});
export type NetState = z.infer<typeof stateSchema>;

export interface NetDeviceOptions {
  memory: NativeMemory;
  tap: Pick<NativeTap, 'fd' | 'setOffloads' | 'send' | 'receive' | 'write' | 'discard'>;
  /** As NetConfig has it. */
  mac: string;
  /** Of the network that the guest was booted on, for all its life; NO_MTU: it is not told (5.1.4). */
  mtu: number;
}

/**
 * A network interface. Frames go straight between guest RAM and a TAP device, and nothing is in flight between two calls;
 * frames that wait in the TAP device while the guest moves to another host are lost there, as on a wire.
 */
export class NetDevice implements VirtioDevice {
  readonly deviceId = DEVICE_ID;
  readonly features: bigint;
  readonly queueSizes = QUEUE_SIZES;
  readonly sources: readonly PollSource[];
  readonly #options: NetDeviceOptions;
  readonly #mac: Uint8Array;
  #driver: Driver | undefined;
  #receiver: Receiver | undefined;
  #transmitter: Transmitter | undefined;
  #control: ControlQueue | undefined;
  /** State has come, and the driver that it belongs to has not been started. */
  #restored = false;
  #announce = false;
  /** Somebody deleted the TAP device. */
  #gone = false;

  /** Throws RangeError for a MAC address that is none. */
  constructor(options: NetDeviceOptions) {
    this.#options = options;
    this.#mac = macBytes(options.mac);
    this.features = NET_FEATURES | (options.mtu === NO_MTU ? 0n : VIRTIO_NET_F_MTU);
    this.sources = [this.#tapSource()];
  }

  config(): Uint8Array {
    const status = (this.#gone ? 0 : VIRTIO_NET_S_LINK_UP) | (this.#announce ? VIRTIO_NET_S_ANNOUNCE : 0);
    return netConfig(this.#mac, status, this.#options.mtu);
  }

  start(driver: Driver): void {
    const { features, queues } = driver;
    const { memory, tap } = this.#options;
    this.#driver = driver;
    this.#setOffloads(features);
    // What has come before this driver is not for it, and perhaps in a form that it does not take.
    if (!this.#restored) tap.discard(STALE_FRAMES_MAX);
    this.#restored = false;
    const [receiveq, transmitq, controlq] = [queues[RECEIVEQ], queues[TRANSMITQ], queues[CONTROLQ]];
    const gone = (): void => this.#linkLost();
    this.#receiver = receiveq && new Receiver({ memory, tap, queue: receiveq, features, gone });
    this.#transmitter = transmitq && new Transmitter({ memory, tap, queue: transmitq, features });
    this.#control = controlq && new ControlQueue(memory, controlq, () => this.#announceAck());
  }

  process(): void {
    this.#control?.run();
    this.#transmitter?.run();
    this.#receiver?.refill();
  }

  reset(): void {
    this.#driver = this.#receiver = this.#transmitter = this.#control = undefined;
    this.#restored = this.#announce = false;
  }

  pause(): void {
    this.#receiver?.release();
  }

  save(): NetState {
    return { version: 1, announce: this.#announce };
  }

  restore(state: unknown): void {
    this.#announce = stateSchema.parse(state).announce;
    this.#restored = true;
  }

  /**
   * Tells the network where the guest is now, and asks the guest to do so as well: it knows its IP addresses. For a guest
   * that has just begun to run on this host, at each of ANNOUNCE_AT_MS (announce.ts).
   */
  announce(): void {
    this.#options.tap.write(announcement(this.#mac));
    if (!this.#negotiated(VIRTIO_NET_F_GUEST_ANNOUNCE)) return;
    this.#announce = true;
    this.#driver?.configChanged();
  }

  #tapSource(): PollSource {
    const device = this;
    const { tap } = this.#options;
    return {
      // poll(2) tells errors of any descriptor but a negative one.
      get fd() {
        return device.#gone ? -1 : tap.fd;
      },
      get events() {
        return device.#events;
      },
      run: (revents) => this.#tapReady(revents),
    };
  }

  get #events(): number {
    if (this.#gone) return 0;
    const receives = this.#receiver !== undefined && !this.#receiver.starved;
    return (receives ? POLLIN : 0) | (this.#transmitter?.waits === true ? POLLOUT : 0);
  }

  #tapReady(revents: number): void {
    if ((revents & (POLLERR | POLLHUP)) !== 0) return this.#linkLost();
    if ((revents & POLLOUT) !== 0) this.#transmitter?.run();
    if ((revents & POLLIN) !== 0) this.#receiver?.run();
  }

  #setOffloads(features: bigint): void {
    const csum = has(features, VIRTIO_NET_F_GUEST_CSUM);
    const takes = (feature: bigint): boolean => csum && has(features, feature); // 5.1.3.1
    const [tso4, tso6] = [takes(VIRTIO_NET_F_GUEST_TSO4), takes(VIRTIO_NET_F_GUEST_TSO6)];
    const ecn = (tso4 || tso6) && takes(VIRTIO_NET_F_GUEST_ECN);
    try {
      this.#options.tap.setOffloads(csum, tso4, tso6, ecn);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBADFD') throw error;
      this.#linkLost();
    }
  }

  /** 5.1.6.5.4 */
  #announceAck(): boolean {
    if (!this.#negotiated(VIRTIO_NET_F_GUEST_ANNOUNCE)) return false;
    this.#announce = false;
    return true;
  }

  #negotiated(feature: bigint): boolean {
    return this.#driver !== undefined && has(this.#driver.features, feature);
  }

  #linkLost(): void {
    this.#gone = true;
    this.#driver?.configChanged();
  }
}
