/**
 * Confines the process of a VM, step by step as its life goes on. A host that cannot do it is told of, and is no reason to
 * be without the VM.
 */
import { describeError } from '../errors.js';
import { OomScore } from '../host/oom-score.js';
import type { VmProcess } from '../vm/vm-process.js';

export class Confinement {
  constructor(
    /** False with --no-confine. */
    readonly wanted: boolean,
    readonly say: (text: string) => void,
  ) {}

  /** Before the VM is built. What the process has been allowed to lower its score to, it may later without capabilities. */
  async forSetUp(): Promise<void> {
    const score = new OomScore();
    score.spare();
    await this.#confine((steps) => steps.confineForSetUp());
    score.restore();
  }

  /** Now, or when all of a VM that is still to come is here. */
  forLife(vm: VmProcess): void {
    if (vm.status().state !== 'waiting') return void this.#drop();
    const unsubscribe = vm.events.subscribe(({ type }) => {
      if (type !== 'whole') return;
      unsubscribe();
      void this.#drop();
    });
  }

  #drop(): Promise<void> {
    return this.#confine((steps) => steps.confineForLife());
  }

  async #confine(step: (steps: typeof import('../confine/confine.js')) => Promise<void>): Promise<void> {
    if (!this.wanted) return;
    try {
      // Loaded here: it needs the addon, and a wrong option is told also where there is none.
      await step(await import('../confine/confine.js'));
    } catch (error) {
      this.say(`the process keeps rights that it does not need: ${describeError(error)}`);
    }
  }
}
