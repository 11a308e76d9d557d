import { TRANSPORT_FEATURES, VIRTIO_F_VERSION_1 } from './features.js';
import type { FeatureRegistersState } from './virtio-state.js';

/** Feature negotiation (virtio 1.2, 2.2 and 4.2.2): 64 bits seen through windows of 32. */
export class FeatureRegisters {
  readonly #offered: bigint;
  /** Which 32 bits each side's register shows. */
  deviceFeaturesSel = 0;
  driverFeaturesSel = 0;
  /** Low and high half of what the driver accepts. */
  readonly #accepted = [0, 0] as [number, number];

  constructor(deviceFeatures: bigint) {
    this.#offered = deviceFeatures | TRANSPORT_FEATURES;
  }

  /** DeviceFeatures */
  readOffered(): number {
    if (this.deviceFeaturesSel > 1) return 0;
    return Number(BigInt.asUintN(32, this.#offered >> BigInt(32 * this.deviceFeaturesSel)));
  }

  /** DriverFeatures */
  writeAccepted(value: number): void {
    if (this.driverFeaturesSel <= 1) this.#accepted[this.driverFeaturesSel] = value;
  }

  get accepted(): bigint {
    return BigInt(this.#accepted[0]) | (BigInt(this.#accepted[1]) << 32n);
  }

  /** Accepted bits that are not offered. */
  get refused(): bigint {
    return this.accepted & ~this.#offered;
  }

  /** Whether FEATURES_OK may be set: 2.2.2, and 6.2 for VIRTIO_F_VERSION_1. */
  get acceptable(): boolean {
    return this.refused === 0n && (this.accepted & VIRTIO_F_VERSION_1) !== 0n;
  }

  reset(): void {
    this.restore({ deviceFeaturesSel: 0, driverFeaturesSel: 0, accepted: [0, 0] });
  }

  save(): FeatureRegistersState {
    const { deviceFeaturesSel, driverFeaturesSel } = this;
    return { deviceFeaturesSel, driverFeaturesSel, accepted: [...this.#accepted] };
  }

  restore(state: FeatureRegistersState): void {
    this.deviceFeaturesSel = state.deviceFeaturesSel;
    this.driverFeaturesSel = state.driverFeaturesSel;
    [this.#accepted[0], this.#accepted[1]] = state.accepted;
  }
}
