/**
 * Errors that nobody caught, in the process of a VM. Where it holds what may be the only copy of a guest, or feeds one, the
 * error is told and the process goes on: whatever it has broken is less than that. Elsewhere the process ends, as far as
 * it can in good order.
 */
import { pagesLeave, type VmState } from '../watch/events.js';
import { describeError } from '../errors.js';

const HOLDS_A_GUEST: ReadonlySet<VmState> = new Set(['running', 'paused', 'migrating', 'link-lost']);
/** A timer that fails would fill the log. */
const REPORTS_MAX = 20;

export class LastResort {
  /** Rejects with the error that ends the process. */
  readonly ended: Promise<never>;
  #end!: (error: unknown) => void;
  #reports = 0;

  /** `state`: of the VM; undefined while there is none. */
  constructor(
    readonly state: () => VmState | undefined,
    readonly tell: (text: string) => void,
  ) {
    this.ended = new Promise((_, reject) => (this.#end = reject));
    this.ended.catch(() => {}); // told to whoever waits for the VM
  }

  /** The result takes it away again. */
  install(): () => void {
    const take = (error: unknown): void => this.#take(error);
    process.on('uncaughtException', take).on('unhandledRejection', take);
    return () => void process.off('uncaughtException', take).off('unhandledRejection', take);
  }

  #take(error: unknown): void {
    const state = this.state();
    if (state === undefined || !(HOLDS_A_GUEST.has(state) || pagesLeave(state))) return this.#end(error);
    if (this.#reports++ >= REPORTS_MAX) return;
    const where = error instanceof Error ? (error.stack?.split('\n')[1]?.trim() ?? '') : '';
    this.tell(`internal error, the VM stays (${state}): ${describeError(error)} ${where}; please report it`);
  }
}
