/** Plans by name: what a migration's options say, and what crosses to the workers of the source. */
import type { PrefetchName } from '../options.js';
import { inOrder } from './in-order.js';
import type { MakePlan } from './page-plan.js';

const PLANS: Record<PrefetchName, MakePlan> = { 'in-order': inOrder };

export function planNamed(name: PrefetchName): MakePlan {
  return PLANS[name];
}
