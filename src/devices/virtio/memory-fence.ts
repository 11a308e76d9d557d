/*
 * vCPUs write the rings while we read them, and a copy by the addon is no atomic operation. What we rely on:
 * - Guest and host are x86, where loads are seen in their order, and stores in theirs. The compiler does not move a copy
 *   across another call of the addon. So reading an index before the entries it announces takes two calls, and no more.
 * - glibc copies two aligned bytes with one 16-bit access: an index is never half old and half new.
 * - A load may still overtake an earlier store to another place. Where both sides write first and then look what the
 *   other wrote, that loses a notification: there a fence is needed.
 */

const word = new Int32Array(new SharedArrayBuffer(4));

/** No later load is done before every earlier store is seen: an atomic read-modify-write has a LOCK prefix on x86. */
export function fullFence(): void {
  Atomics.add(word, 0, 0);
}
