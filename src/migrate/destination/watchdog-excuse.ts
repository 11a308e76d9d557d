/**
 * While pages of a guest come, its vCPUs stand still where they need one; over a slow link, or one that is broken, for longer
 * than the guest's watchdogs have patience, also where each single wait is short. They are told now and then, as
 * they are of a guest that was paused (KVM_KVMCLOCK_CTRL, Linux's kvm_check_and_clear_guest_paused()).
 */
import { harmlessly } from '../../basics/harmless.js';

/** A Linux guest looks for soft lockups as often, and calls 20 s one; others have more patience. */
const INTERVAL_MS = 4000;
/** Shorter standstills in such a time are no reason. */
const NOTICED_MICROS = 1_000_000;

interface StandingStill {
  /** vCPUs, or others, that wait for a page now. */
  readonly faultsWaiting: number;
  /** Of waits that are over. */
  waits(): { sum: number };
}

export class WatchdogExcuse {
  readonly #timer: NodeJS.Timeout;
  #waitedMicros = 0;

  constructor(
    readonly machine: { excuseStandstill(): Promise<void> },
    readonly channels: StandingStill,
  ) {
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  /** All pages are here, or nobody waits for those that are not. */
  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const waited = this.channels.waits().sum;
    const stoodStill = this.channels.faultsWaiting > 0 || waited - this.#waitedMicros > NOTICED_MICROS;
    this.#waitedMicros = waited;
    if (stoodStill) harmlessly('telling watchdogs of a standstill', () => this.machine.excuseStandstill());
  }
}
