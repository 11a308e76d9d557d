import type { PrefetchPolicy } from './policy.js';

/** From the first page to the last. */
export const inOrder: PrefetchPolicy = { next: (after) => after };
