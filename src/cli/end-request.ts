/** Remembers that the VM is to end, however early that was asked for, and asks the VM once it is there. */
export class EndRequest {
  #wanted = false;
  #stop: (() => Promise<void>) | undefined;

  get wanted(): boolean {
    return this.#wanted;
  }

  /** False if it was asked for before. */
  ask(): boolean {
    const first = !this.#wanted;
    this.#wanted = true;
    if (first) this.#act();
    return first;
  }

  vmIsThere(stop: () => Promise<void>): void {
    this.#stop = stop;
    if (this.#wanted) this.#act();
  }

  #act(): void {
    // It fails when the VM is just ending by itself, which is what was wanted.
    this.#stop?.().catch(() => {});
  }
}
