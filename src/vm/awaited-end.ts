/** A guest that is over (it powered itself off, reset itself, or failed) while its pages still arrive: what is said of it. */
import { describeError } from '../errors.js';

export interface AwaitedEnd {
  /** What the guest did: `the guest powered itself off`. */
  what: string;
  /** It starts again then. */
  again: boolean;
}

/** What has to come before the VM is over, or its guest starts again. */
export function awaitedText({ what, again }: AwaitedEnd, pagesMissing: number, peer: string | undefined): string {
  return (
    `${what} and stands still; its last ${pagesMissing} pages are awaited from ${peer ?? 'the other host'}, ` +
    `then it ${again ? 'starts again' : 'is over'}`
  );
}

/** The rest of the pages does not come, and nobody needs it. */
export function notAwaitedText(
  { what, again }: AwaitedEnd,
  pagesMissing: number,
  peer: string | undefined,
  reason: unknown,
): string {
  return (
    `the link to ${peer ?? 'the other host'} was lost with ${pagesMissing} pages still there (${describeError(reason)}). ` +
    `Nothing is lost with them: ${what} before, and ${again ? 'starts again without them' : 'is over'}`
  );
}
