/** From the first page to the last, whatever is asked for meanwhile; behind where the guest has written lately, if that is known. */
import { GuessedFirst } from './guess.js';
import type { MakePlan } from './page-plan.js';
import { WrittenLately } from './written-lately.js';

export const inOrder: MakePlan = (unsent, recent) => new GuessedFirst(unsent, [new WrittenLately(unsent, recent)]);
