/**
 * Whether code is rehearsed at all. POSTCOPY_REHEARSALS=0 is for tests that start VM processes by the hundred and judge no
 * times: rehearsals are half of the CPU time that such a process takes until it has moved.
 */
export const REHEARSES = process.env['POSTCOPY_REHEARSALS'] !== '0';
