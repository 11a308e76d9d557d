/** A stop that the guest has a say in: its power button is pressed, and it shuts itself down. */
import type { VmEnd, VmState } from './service.js';
import { within } from '../basics/within.js';
import { PostcopyError, type Problem } from '../errors.js';

export interface ShutDownOptions {
  name: string;
  /** Of the VM here. */
  ended: Promise<VmEnd>;
  timeoutMs: number;
  press(): Promise<void>;
}

/** Why the guest of a VM in that state cannot be asked; undefined if it can. */
export function cannotReact(name: string, state: VmState, peer: string): Problem | undefined {
  switch (state) {
    case 'paused': {
      const text = `${name} is paused, and its guest cannot react: resume it first, or cut its power`;
      return { text, facts: [{ kind: 'can-be-cut', name }] };
    }
    case 'incoming': {
      const text = `${name} is just coming from ${peer} and does not run here yet: try again in a moment, or give it up`;
      return { text, facts: [{ kind: 'can-be-given-up', name }] };
    }
    case 'link-lost': {
      const text = `the guest of ${name} is halted and cannot react: only force ends this process and what it keeps of the VM`;
      return { text, facts: [{ kind: 'can-be-given-up', name }] };
    }
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
    const why = `the power button of ${name} cannot be pressed just now, it starts again or ends: try again, or cut its power`;
    throw new PostcopyError('WRONG_STATE', why, error, [{ kind: 'can-be-cut', name }]);
  }
  const end = await ending;
  if (end === undefined) {
    throw new PostcopyError(
      'NO_REACTION',
      `the guest of ${name} was asked to shut down, and after ${timeoutMs / 1000} s it still has not: wait longer, ` +
        'see whether something in it reacts to the ACPI power button, or cut its power',
      undefined,
      [{ kind: 'no-reaction', name }],
    );
  }
  if (end.code !== undefined) throw new PostcopyError(end.code, end.message, undefined, end.facts);
  if (end.reason === 'migrated') throw new PostcopyError('WRONG_STATE', `${end.message} meanwhile: stop it there`);
}
