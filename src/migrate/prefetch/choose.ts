/** Plans by name: what a migration's options say, and what crosses to the workers of the source. */
import { PostcopyError } from '../../errors.js';
import { inOrder } from './in-order.js';
import type { MakePlan } from './page-plan.js';

const PLANS: ReadonlyMap<string, MakePlan> = new Map([['in-order', inOrder]]);

export const DEFAULT_PLAN = 'in-order';

/** Throws BAD_CONFIG for a name that no plan has. */
export function planNamed(name: string): MakePlan {
  const plan = PLANS.get(name);
  if (plan !== undefined) return plan;
  const names = [...PLANS.keys()].join(', ');
  throw new PostcopyError('BAD_CONFIG', `pages cannot be pushed by a plan called ${name}: choose one of ${names}`);
}
