/**
 * By what the faults say: what runs in streams is sent ahead of them; around other faults, their neighbours; the rest in
 * order.
 */
import { GuessedFirst } from './guess.js';
import { NearFaults } from './near-faults.js';
import type { PagePlan, UnsentPages } from './page-plan.js';
import { Streams } from './streams.js';

export const auto = (unsent: UnsentPages): PagePlan =>
  new GuessedFirst(unsent, [new Streams(unsent), new NearFaults(unsent.pages)]);
