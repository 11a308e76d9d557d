/**
 * Errors of device models, which are bugs: what was asked for is not done, and the VM goes on. Only when nothing goes well
 * any more is there no use in that.
 */
import { describeError } from '../errors.js';

/** Told to the operator; a guest could have a log filled with them. */
const REPORTS_MAX = 10;
const MOST_IN_A_ROW = 100;

export class BearableErrors {
  #reports = 0;
  #inARow = 0;

  constructor(readonly report: (text: string) => void) {}

  /** Throws it when there have been too many, with nothing in between that went well. */
  bear(where: string, error: unknown): void {
    if (++this.#inARow > MOST_IN_A_ROW) throw error;
    if (this.#reports++ < REPORTS_MAX)
      this.report(`internal error in a device (${where}): ${describeError(error)}; the VM goes on`);
  }

  wentWell(): void {
    this.#inARow = 0;
  }
}
