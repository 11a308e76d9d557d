/** What both ends of a migration can do beyond the version that they speak: the source offers, the destination chooses. */
import { PostcopyError } from '../../errors.js';
import { FEATURES } from './protocol.js';

/** The destination's choice: what is offered and known here, each once. Names that nobody here knows are ignored. */
export function chooseFeatures(offered: readonly string[], known: readonly string[] = FEATURES): string[] {
  return known.filter((name) => offered.includes(name));
}

/** What speaks against the destination's choice; at the source. */
export function problemOfChoice(offered: readonly string[], chosen: readonly string[]): PostcopyError | undefined {
  const strange = chosen.filter((name) => !offered.includes(name));
  if (strange.length === 0) return undefined;
  return new PostcopyError('BAD_PEER', `the destination chose features that were not offered: ${strange.join(', ')}`);
}
