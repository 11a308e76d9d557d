import { Deadline } from '../../../../src/basics/deadline.js';

/** For what does not wait. */
export const SOON = Deadline.in(60_000);
