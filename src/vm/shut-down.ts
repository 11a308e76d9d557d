/** A stop that the guest has a say in: its power button is pressed, and it shuts itself down. */
import type { VmEnd, VmState } from './service.js';
import { within } from '../basics/within.js';
import { PostcopyError } from '../errors.js';

export interface ShutDownOptions {
  name: string;
  /** Of the VM here. */
  ended: Promise<VmEnd>;
  timeoutMs: number;
  press(): Promise<void>;
}

/** Throws WRONG_STATE unless a guest is here that can react (or is ending as it is). */
export function requireReaction(name: string, state: VmState, peer: string | undefined): void {
  const why = cannotReact(name, state, peer ?? 'the other host');
  if (why !== undefined) throw new PostcopyError('WRONG_STATE', why);
}

function cannotReact(name: string, state: VmState, peer: string): string | undefined {
  switch (state) {
    case 'paused':
      return `${name} is paused, and its guest cannot react: resume it first, or cut its power (--force)`;
    case 'incoming':
      return `${name} is just coming from ${peer} and does not run here yet: try again in a moment, or give it up (--force)`;
    case 'link-lost':
      return `the guest of ${name} is halted and cannot react: --force ends this process and what it keeps of the VM`;
    default:
      return undefined;
  }
}

/** Resolves when the VM has ended here; throws NO_REACTION when it has not in time. */
export async function shutDown({ name, ended, timeoutMs, press }: ShutDownOptions): Promise<void> {
  const ending = within(ended, timeoutMs, () => undefined);
  try {
    // Devices that wait for a dead disk do not even answer to that.
    await Promise.race([press(), ending]);
  } catch (error) {
    const why = `the power button of ${name} cannot be pressed just now, it starts again or ends: try again, or cut its power (--force)`;
    throw new PostcopyError('WRONG_STATE', why, error);
  }
  const end = await ending;
  if (end === undefined) {
    throw new PostcopyError(
      'NO_REACTION',
      `the guest of ${name} was asked to shut down, and after ${timeoutMs / 1000} s it still has not: wait longer ` +
        '(--timeout SECONDS), see whether something in it reacts to the ACPI power button, or cut its power (--force)',
    );
  }
  if (end.code !== undefined) throw new PostcopyError(end.code, end.message);
  if (end.reason === 'migrated') throw new PostcopyError('WRONG_STATE', `${end.message} meanwhile: stop it there`);
}
