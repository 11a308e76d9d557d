import type { VmService, VmStatus } from '../vm/service.js';
import { pagesLeave } from '../watch/events.js';
import { describeError } from '../errors.js';

/**
 * What a signal, or Ctrl-a x, asks for: that the VM ends, remembered however early it comes. No ordinary signal ends a
 * process that holds pages which are nowhere else, however often it comes: each is told why.
 */
export class EndRequest {
  #wanted = false;
  #vm: VmService | undefined;

  /** `refuse`: tells why the VM does not end. */
  constructor(readonly refuse: (why: string) => void) {}

  get wanted(): boolean {
    return this.#wanted;
  }

  /** False if it was asked for before, and nothing speaks against an end that does not wait for the guest's. */
  ask(): boolean {
    const why = this.#vm && whyItStays(this.#vm.status());
    if (why !== undefined) {
      this.refuse(why);
      return true;
    }
    const first = !this.#wanted;
    this.#wanted = true;
    if (first) this.#act();
    return first;
  }

  vmIsThere(vm: VmService): void {
    this.#vm = vm;
    if (this.#wanted) this.#act();
  }

  #act(): void {
    this.#vm?.stop({ force: true }).catch((error: unknown) => {
      // It fails, too, when the VM is just ending by itself, which is what was wanted.
      const why = whyItStays(this.#vm!.status());
      if (why !== undefined) this.refuse(`${describeError(error)}. ${why}`);
    });
  }
}

function whyItStays({ name, state, peer, problem }: VmStatus): string | undefined {
  if (pagesLeave(state)) {
    return (
      `${name} does not end by a signal: it runs at ${peer ?? 'the other host'}, which still pulls its memory from here and ` +
      `would lose it. This process ends by itself when the last page is there: postcopy status ${name} shows how far it is`
    );
  }
  if (state === 'link-lost') {
    return (
      `${name} does not end by a signal: what this process keeps of the VM may be nowhere else` +
      `${problem === undefined ? '' : ` (${problem})`}. postcopy stop --force ${name} ends it`
    );
  }
  return undefined;
}
