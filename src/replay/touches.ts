/** First touches while they are found: of each page the first one, by whichever vCPU. */
import type { Trace } from '../migrate/prefetch/trace.js';

export class Touches {
  readonly #seen: Uint8Array;
  readonly #touches: [time: number, vcpu: number, page: number][] = [];

  constructor(readonly pages: number) {
    this.#seen = new Uint8Array(pages);
  }

  get count(): number {
    return this.#touches.length;
  }

  add(time: number, vcpu: number, page: number): void {
    if (this.#seen[page] === 1) return;
    this.#seen[page] = 1;
    this.#touches.push([time, vcpu, page]);
  }

  /** `dataPages`: those that hold data, from the first one on. */
  trace(vcpus: number, dataPages = this.pages): Trace {
    const touches = this.#touches.sort((a, b) => a[0] - b[0]);
    return {
      kind: 'touches',
      pages: this.pages,
      vcpus,
      extents: Uint32Array.of(0, dataPages),
      times: Float64Array.from(touches, ([time]) => time),
      vcpuOf: Uint16Array.from(touches, ([, vcpu]) => vcpu),
      pageOf: Uint32Array.from(touches, ([, , page]) => page),
    };
  }
}
