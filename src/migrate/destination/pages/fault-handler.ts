/**
 * The faults of vCPUs and devices at the destination: reads them from the userfaultfd, and asks a supply for their pages.
 * Faults on pages that hold nothing are answered here.
 */
import { native, POLLIN, type Userfaultfd } from '../../../native.js';
import type { ChannelTask } from '../../../threads/channel-loop.js';
import type { GoSignal } from '../../../threads/go-signal.js';
import { PollSet } from '../../../threads/poll-set.js';
import { LONGEST_WAIT_MS } from '../../../threads/serve-job.js';
import { isOutOfMemory } from './copy-all.js';
import type { InstallerParts } from './page-installer.js';
import type { PageSupply } from './page-supply.js';

const FAULT_BATCH = 64;
/** Others wait for this thread: not long. */
const MEMORY_PAUSE_MS = 1;

/** Where no page comes from. */
const ABSENT: PageSupply = {
  ask: () => {},
  receive: () => false,
  sources: () => {},
  triesAgain: false,
  idle: () => {},
};

export class FaultHandler implements ChannelTask {
  readonly #faults = new Uint32Array(FAULT_BATCH);
  #supply: PageSupply;

  constructor(
    readonly parts: InstallerParts,
    supply: PageSupply,
    readonly signal: GoSignal,
  ) {
    this.#supply = supply;
  }

  step(): boolean {
    const faults = this.#readFaults();
    return this.#supply.receive() || faults;
  }

  sources(set: PollSet): void {
    set.add(this.parts.userfaultfd.fd, POLLIN);
    this.#supply.sources(set);
  }

  get triesAgain(): boolean {
    return this.#supply.triesAgain;
  }

  idle(): void {
    this.#supply.idle();
  }

  #readFaults(): boolean {
    const faults = this.#faults;
    const count = this.parts.userfaultfd.readFaults(faults);
    if (count === 0) return false;
    const now = native.monotonicMicros();
    let asked = 0;
    for (let i = 0; i < count; i++) {
      const page = faults[i] as number;
      if (this.#mustAsk(page, now)) faults[asked++] = page;
    }
    if (asked > 0) this.#supply.ask(faults, asked);
    return true;
  }

  /** Notes a fault. False if its page is on its way, here, or holds nothing. */
  #mustAsk(page: number, now: number): boolean {
    const { pages, pending, userfaultfd, counters, waits } = this.parts;
    if (!pages.isMissing(page)) {
      // It holds nothing; or a bulk channel has just installed it, then this only wakes.
      counters.add('zeroFaults', zeroOrLater(userfaultfd, page));
      return false;
    }
    pending.add(page, now);
    if (pages.isMissing(page)) return pages.ask(page);
    // A bulk channel has installed it before it could see the entry: its install has woken the vCPU.
    pending.settle(page, 1, waits);
    return false;
  }

  /**
   * The link broke behind COMMIT: the guest runs on, and who needs a page that is at the source waits, until it comes again
   * and another fault handler asks for what is missing. `wakeFd` is readable when the signal is stopped.
   */
  serveAlone(wakeFd: number): void {
    this.#supply = ABSENT;
    const set = new PollSet();
    while (!this.signal.stopped) {
      if (this.#readFaults()) continue;
      set.clear();
      set.add(this.parts.userfaultfd.fd, POLLIN);
      set.add(wakeFd, POLLIN);
      set.wait(LONGEST_WAIT_MS);
    }
  }

  /**
   * The link broke before COMMIT: this guest will never run here, but the main thread may be in KVM, waiting for a page
   * of it. Any content will do to let it go.
   */
  discard(): void {
    const { userfaultfd } = this.parts;
    const set = new PollSet();
    while (!this.signal.stopped) {
      set.clear();
      set.add(userfaultfd.fd, POLLIN);
      if (!set.wait(LONGEST_WAIT_MS)) continue;
      const count = userfaultfd.readFaults(this.#faults);
      for (let i = 0; i < count; i++) zeroOrLater(userfaultfd, this.#faults[i] as number);
    }
  }
}

/** Returns the pages installed. Where this host has no memory now, whoever waits for the page tries again in a moment. */
function zeroOrLater(userfaultfd: Userfaultfd, page: number): number {
  try {
    return userfaultfd.zero(page, 1);
  } catch (error) {
    if (!isOutOfMemory(error)) throw error;
    new PollSet().wait(MEMORY_PAUSE_MS);
    userfaultfd.wake(page, 1);
    return 0;
  }
}
