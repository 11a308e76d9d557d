/** A guest that is over: it powered itself off, reset itself, or failed, or the machine that serves it did. */
import type { ErrorCode, Fact } from '../errors.js';
import type { VmEnd } from './service.js';

interface Happened {
  /** `the guest powered itself off` */
  what: string;
  /** Told to whoever is cut short by it. */
  why: string;
}

/** The VM ends with it. */
export type Final = Happened & { again: false; end: VmEnd };

/** `source`: what asked for the reset after which the guest starts again. */
export type Over = Final | (Happened & { again: true; source: string });

const POWERED_OFF = 'the guest powered itself off';

export function poweredOff(): Final {
  return { what: POWERED_OFF, why: POWERED_OFF, again: false, end: { reason: 'power-off', message: POWERED_OFF } };
}

/** `reboot`: the guest may start again. */
export function resetItself(source: string, reboot: boolean): Over {
  const what = `the guest reset itself (${source})`;
  const why = 'the guest reset itself';
  if (reboot) return { what, why, again: true, source };
  return { what, why, again: false, end: { reason: 'reset', message: `the guest asked for a reset (${source})` } };
}

export function failed(code: ErrorCode, message: string, facts: readonly Fact[] = []): Final {
  const [what = message] = message.split('\n'); // a guest's without its registers
  return { what, why: message, again: false, end: failure(code, message, facts) };
}

/** The end of a VM that failed. */
export function failure(code: ErrorCode, message: string, facts: readonly Fact[]): VmEnd {
  return { reason: 'failed', message, code, ...(facts.length === 0 ? {} : { facts }) };
}

/** The same of a VM whose other end is gone, or has been given up: a part of its memory is nowhere any more. */
export function lostByForce(name: string): Final {
  const { again, why, end } = stoppedByForce(name);
  const message = `${end.message}, and is lost: start it again from its disks`;
  return { what: message, why, again, end: { ...end, message, code: 'LINK_LOST' } };
}

export function stoppedByForce(name: string): Final {
  const message = `${name} was stopped`;
  return { what: message, why: 'the VM was stopped', again: false, end: { reason: 'stopped', message } };
}

export function messageOf(over: Over): string {
  return over.again ? over.what : over.end.message;
}

/** What has to come before the VM is over, or its guest starts again. */
export function awaitedText({ what, again }: Over, pagesMissing: number, peer: string | undefined): string {
  const other = peer ?? 'the other host';
  return (
    `${what} and stands still; as soon as ${other} knows that its last ${pagesMissing} pages are not needed, ` +
    `it ${again ? 'starts again' : 'is over'}`
  );
}

/** The rest of the pages does not come, and nobody needs it. */
export function notAwaitedText(
  { what, again }: Over,
  pagesMissing: number,
  peer: string | undefined,
  reason: string,
): string {
  return (
    `the link to ${peer ?? 'the other host'} was lost with ${pagesMissing} pages still there (${reason}). ` +
    `Nothing is lost with them: ${what} before, and ${again ? 'starts again without them' : 'is over'}`
  );
}
