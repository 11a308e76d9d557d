/**
 * The first requests are those of vCPUs that have just gone on, one after the other, for page tables, code, stack and data:
 * with each of them the neighbours of its page go along, those of an aligned group.
 */
export const FIRST_REQUESTS = 64;
export const GROUP_PAGES = 8;
