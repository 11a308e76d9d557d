/** Gives pages that the guest does not need back to the host. By page of RAM (native.ts), not of guest-physical space. */
export interface PageReleaser {
  /** False while pages must stay as they are; release() is not called then. */
  readonly active: boolean;
  release(firstPage: number, count: number): void;
}

/** Values of the flag that the main thread sets. */
export const RELEASE_PAGES = 0;
export const KEEP_PAGES = 1;

/**
 * Releases with MADV_DONTNEED (or a hole in the memfd): the pages read as zero, and cost nothing, until they are written.
 *
 * Never while the VM arrives by post-copy. Its pages are registered with userfaultfd: one that is released would be
 * missing again, the fault for it would go to the source, which sends no page twice, and the vCPU would wait for ever.
 * The flag says KEEP_PAGES from before the vCPUs run until every page is here, and does not return to it.
 *
 * At the source nothing needs to be held back, not even when it has looked up already which pages hold data: such a page
 * released later is sent as what it is now, zeroes, and is what the guest would have read here. One that a pre-copy round
 * has sent already keeps its old content at the destination, which is as good: nobody expects any of a page given up.
 * After the hand-over no vCPU runs here, and so no device does.
 */
export class ReportedPages implements PageReleaser {
  readonly #memory: { release(first: number, count: number): void };
  readonly #flag: Int32Array;
  #refused = false;

  /** `flag`: one element, shared with the main thread. */
  constructor(memory: { release(first: number, count: number): void }, flag: Int32Array) {
    this.#memory = memory;
    this.#flag = flag;
  }

  get active(): boolean {
    return !this.#refused && Atomics.load(this.#flag, 0) === RELEASE_PAGES;
  }

  /** Where the kernel refuses (locked memory), it always will: the pages stay, and the guest does not notice. */
  release(firstPage: number, count: number): void {
    try {
      this.#memory.release(firstPage, count);
    } catch {
      this.#refused = true;
    }
  }
}
