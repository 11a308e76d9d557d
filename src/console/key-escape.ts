/** Ctrl-a, as in QEMU's and screen's consoles. */
const ESCAPE_KEY = 0x01;
const QUIT = 'x'.charCodeAt(0);
const LITERAL = 'a'.charCodeAt(0);

/**
 * Finds the escape in what is typed at the terminal of `run` and `receive`: Ctrl-a x ends the VM, Ctrl-a a (or Ctrl-a
 * twice) sends one Ctrl-a to the guest, Ctrl-a and any other key sends both.
 */
export class KeyEscape {
  #pending = false;

  /** What is for the guest, and whether the end of the VM was asked for. */
  take(typed: Uint8Array): { forGuest: Buffer; quit: boolean } {
    const forGuest: number[] = [];
    for (const key of typed) {
      if (!this.#pending) {
        this.#pending = key === ESCAPE_KEY;
        if (!this.#pending) forGuest.push(key);
        continue;
      }
      this.#pending = false;
      if (key === QUIT) return { forGuest: Buffer.from(forGuest), quit: true };
      forGuest.push(ESCAPE_KEY);
      if (key !== LITERAL && key !== ESCAPE_KEY) forGuest.push(key);
    }
    return { forGuest: Buffer.from(forGuest), quit: false };
  }
}
