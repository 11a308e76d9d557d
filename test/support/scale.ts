/** Above 1 on hosts that are emulated: divides the guests' sizes, multiplies the time things may take. */
export const SCALE = Number(process.env['POSTCOPY_TEST_SCALE'] ?? 1);
