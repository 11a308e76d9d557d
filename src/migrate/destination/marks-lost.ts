import { native } from '../../native.js';

/** UFFD_FEATURE_POISON of <linux/userfaultfd.h>: Linux 6.6. */
const POISON = 1 << 14;

/** Whether this host's kernel can mark pages that the source has lost, so that whoever touches one finds out. */
export function marksLostPages(): boolean {
  try {
    return (native.userfaultfdProbe().features & POISON) !== 0;
  } catch {
    return false;
  }
}
