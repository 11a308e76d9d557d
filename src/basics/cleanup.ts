/** What has to be undone at the end, in reverse order, whatever fails on the way. */
export class Cleanup {
  readonly #steps: (() => void | Promise<void>)[] = [];

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Somebody else undoes it from now on. */
  forget(): void {
    this.#steps.length = 0;
  }

  /** Runs every step, then throws the first error that one of them threw. */
  async run(): Promise<void> {
    const errors: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
