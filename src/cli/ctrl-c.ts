/**
 * Ctrl-C of `postcopy migrate`. The migration is not the command's, but the VM's process has it: the first one asks that
 * process to cancel it, which it does as long as the VM can be kept; the second leaves it to itself.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Deferred } from '../basics/deferred.js';
import { VmClient } from '../control/client.js';
import { describeError, PostcopyError } from '../errors.js';
import { pagesLeave } from '../watch/events.js';

/** Between two requests for a migration that has not begun yet. */
const PAUSE_MS = 50;

export class CtrlC {
  readonly #name: string;
  readonly #tell: (text: string) => void;
  readonly #left = new Deferred<'left'>();
  readonly #onSignal = (): void => this.#interrupt();
  #times = 0;
  #over = false;

  /** From now on, until done(). */
  constructor(name: string, tell: (text: string) => void) {
    this.#name = name;
    this.#tell = tell;
    process.on('SIGINT', this.#onSignal);
  }

  /** Resolves when the command has nothing to wait for any more; why, has been told. */
  get left(): Promise<'left'> {
    return this.#left.promise;
  }

  /** It came at least once. */
  get came(): boolean {
    return this.#times > 0;
  }

  /** The migration is over, or the command is. */
  done(): void {
    this.#over = true;
    process.off('SIGINT', this.#onSignal);
  }

  #interrupt(): void {
    if (++this.#times > 1) {
      return this.#leave(`left: whether the migration could still be cancelled, ${this.#status} shows`);
    }
    this.#tell(`cancelling the migration of ${this.#name}; Ctrl-C again does not wait for that`);
    this.#cancel().catch((error: unknown) =>
      this.#leave(`the migration cannot be cancelled: ${describeError(error)}. It may go on: ${this.#status} shows it`),
    );
  }

  /** What became of it, the migration's own answer says, unless it is too late. */
  async #cancel(): Promise<void> {
    const client = new VmClient(this.#name);
    try {
      while (!this.#over) {
        if (await isCancelled(client)) return;
        if (pagesLeave((await client.status()).state)) {
          return this.#leave(
            `too late to cancel: ${this.#name} has been handed over, and moves on without this command. ` +
              `${this.#status} shows how far it is`,
          );
        }
        await delay(PAUSE_MS);
      }
    } finally {
      await client.close();
    }
  }

  get #status(): string {
    return `\`postcopy status ${this.#name}\``;
  }

  #leave(why: string): void {
    if (this.#over) return;
    this.#tell(why);
    this.#left.resolve('left');
  }
}

/** False if there is no migration that can be cancelled now. */
async function isCancelled(client: VmClient): Promise<boolean> {
  try {
    await client.cancelMigration();
    return true;
  } catch (error) {
    if (error instanceof PostcopyError && error.code === 'WRONG_STATE') return false;
    throw error;
  }
}
