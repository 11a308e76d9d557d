/** Plans by name: what a migration's options say, and what crosses to the workers of the source. */
import type { PrefetchName } from '../options.js';
import { auto } from './auto.js';
import { inOrder } from './in-order.js';
import { nearFaults } from './near-faults.js';
import type { MakePlan } from './page-plan.js';
import { streams } from './streams.js';

const PLANS: Record<PrefetchName, MakePlan> = {
  'in-order': inOrder,
  'near-faults': nearFaults,
  streams,
  auto,
  // Behind which the guest was watched.
  recent: auto,
};

export function planNamed(name: PrefetchName): MakePlan {
  return PLANS[name];
}
