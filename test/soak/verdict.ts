/**
 * How a run may end, by what has passed between its ends: the rule, and the table, of postcopy-when-something-breaks(7) as
 * pure code.
 */
import type { End } from '../support/relay.js';
import type { Passed } from './network.js';

export const OUTCOMES = [
  /** The guest works at the destination, whole; the source has ended. */
  'moved',
  /** The guest works at the source, whole; it never ran at the destination. */
  'stayed',
  /** The destination died, whether or not the guest ran there: somebody takes it back at the source, and it is whole. */
  'taken back',
  /** The VM died with its source, and never ran at the destination. */
  'gone with its source',
  /** All of the VM was at the destination, and died with it. */
  'gone with its destination',
  /** The destination died while pages were still at the source, which keeps them until somebody ends it. */
  'lost',
  /** The source died before it knew that the guest runs: the destination has halted it, until somebody ends it. */
  'halted',
  /** The source died while pages were still there: the guest runs until it lacks one, or somebody ends it. */
  'runs short',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** `killed`: the end that is dead, if one is. */
export function mayEndAs(passed: Passed, killed: End | undefined): Outcome[] {
  if (killed === 'source') return ofDeadSource(passed);
  if (killed === 'destination') return ofDeadDestination(passed);
  if (passed.sent.has('running')) return ['moved'];
  return passed.sent.has('commit') ? ['moved', 'stayed'] : ['stayed'];
}

/** What the destination was told is all that it can know. */
function ofDeadSource({ sent, arrived, toldKnown }: Passed): Outcome[] {
  if (!arrived.has('commit')) return ['gone with its source'];
  // One that has all of it is sure of its guest only when it has heard that the source knows.
  if (sent.has('complete')) return toldKnown ? ['moved'] : ['halted'];
  const ran: Outcome[] = toldKnown ? ['moved', 'runs short'] : ['halted'];
  // It may still have given the guest back.
  return sent.has('running') ? ran : [...ran, 'gone with its source'];
}

/** What the source was told is all that it can know. */
function ofDeadDestination({ sent, arrived, toldRuns, saidNeverRan }: Passed): Outcome[] {
  // Until then it may still have asked whether the destination knows that it knows.
  if (sent.has('bye')) return ['gone with its destination'];
  if (toldRuns) return ['lost', 'gone with its destination'];
  if (!arrived.has('loaded')) return ['stayed'];
  // COMMIT may have been on its way to a network that took nothing any more, or was held back as the link was gone.
  const gaveBack = saidNeverRan || sent.has('abort');
  return sent.has('commit') && !gaveBack ? ['taken back'] : ['taken back', 'stayed'];
}
