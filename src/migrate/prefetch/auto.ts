/**
 * By what the faults say: what runs in streams is sent ahead of them; then where the guest has written lately, as far as that
 * is known; around other faults, their neighbours; the rest in order.
 */
import { GuessedFirst } from './guess.js';
import { NearFaults } from './near-faults.js';
import type { MakePlan } from './page-plan.js';
import { Streams } from './streams.js';
import { WrittenLately } from './written-lately.js';

export const auto: MakePlan = (unsent, recent) =>
  new GuessedFirst(unsent, [new Streams(unsent), new WrittenLately(unsent, recent), new NearFaults(unsent.pages)]);
