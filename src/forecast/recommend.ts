/** Which mode suits a guest best, by what is foretold of each, and why. */
import { formatDuration } from '../basics/units.js';
import type { MigrationMode } from '../migrate/options.js';
import type { ModeForecast } from './forecast.js';

export interface Recommendation {
  mode: MigrationMode;
  /** One sentence. */
  reason: string;
}

/** Pre-copy may take this much longer than post-copy, and is still worth it: its guest waits for nothing. */
const WORTH_TIMES = 2;
/** Hybrid has to save half of the waiting. */
const WORTH_WAITING = 1 / 2;

/** `modes`: one of each mode. */
export function recommend(modes: readonly ModeForecast[]): Recommendation {
  const of = (mode: MigrationMode) => modes.find((it) => it.mode === mode)!;
  const [post, pre, hybrid] = [of('post-copy'), of('pre-copy'), of('hybrid')];
  if (pre.converges === true && pre.totalMs <= post.totalMs * WORTH_TIMES) {
    const reason = `the guest waits for no page, and stands still for ${formatDuration(pre.downtimeMs)}, as is allowed.`;
    return { mode: 'pre-copy', reason };
  }
  const preCopy = pre.converges === true ? 'pre-copy would take much longer' : 'pre-copy would not converge';
  if (hybrid.waitingMs <= post.waitingMs * WORTH_WAITING) {
    const waits = `waits ${formatDuration(hybrid.waitingMs)} for pages instead of ${formatDuration(post.waitingMs)}`;
    return { mode: 'hybrid', reason: `the guest ${waits}, and ${preCopy}.` };
  }
  return { mode: 'post-copy', reason: `${preCopy}, and rounds would save the guest little waiting.` };
}
