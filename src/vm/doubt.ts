/**
 * A guest whose hand-over broke in the instant in which only the other host knew whether it ran it. It may go on here if
 * somebody answers for it that it has not run there and never will, unless something here has failed since, or another
 * host has one of its disks.
 */
import { PostcopyError } from '../errors.js';
import type { HostDevices } from '../host/host-devices.js';
import type { Machine } from '../machine/machine.js';

export class Doubt {
  #inDoubt = false;
  #broken: string | undefined;
  #settling: Promise<void> | undefined;

  /** The link was lost; `inDoubt`: nothing has said that the guest ran there. */
  linkLost(inDoubt: boolean): void {
    this.#inDoubt = inDoubt;
  }

  /** The machine here cannot run any more. */
  machineFailed(why: string): void {
    this.#broken = why;
  }

  get mayGoOn(): boolean {
    return this.#inDoubt && this.#broken === undefined;
  }

  /** Lets the guest go on, with its disks; once, however often it is asked for. Throws with nothing changed. */
  settle(name: string, machine: Machine, hostDevices: HostDevices, over: () => boolean): Promise<void> {
    this.#settling ??= this.#settle(name, machine, hostDevices, over).finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settle(name: string, machine: Machine, hostDevices: HostDevices, over: () => boolean): Promise<void> {
    this.#require(name);
    await hostDevices.takeOver();
    try {
      // Taking the locks takes its time.
      if (over()) throw new PostcopyError('WRONG_STATE', `${name} was stopped meanwhile`);
      this.#require(name);
    } catch (error) {
      hostDevices.disks.unlock();
      throw error;
    }
    await machine.goOn();
    this.#inDoubt = false;
  }

  #require(name: string): void {
    if (this.mayGoOn) return;
    const why = this.#broken ?? 'what it has here is not whole: the other host has run it, or has not sent all of it';
    throw new PostcopyError('WRONG_STATE', `${name} cannot go on here: ${why}`);
  }
}
