/**
 * The process of a VM, which a guest and another host talk to, gives up what it does not need, in two steps:
 *
 *   confineForSetUp()  before it has read a byte of either: no program, other process, user, mount or module is in reach
 *                      any more (native/confine/call_filter.h), and of all capabilities those are left that building or
 *                      receiving the VM takes.
 *   confineForLife()   once the VM is here, and its disks, TAP devices and sockets are open.
 *
 * Both are for all threads, those of Node included, and for good. A process that serves something else besides, because
 * it embeds a VM, is not confined by it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Deadline } from '../basics/deadline.js';
import { PostcopyError } from '../errors.js';
import { native } from '../native.js';
import { KEPT, KEPT_FOR_SET_UP, numbersOf, type Capability } from './capabilities.js';

/** A thread that waits in the kernel, for storage or a page, drops its capabilities when it comes out. */
const THREADS_WAIT_MS = 2000;
const THREADS_POLL_MS = 2;

/** Rejects with HOST_LACKS if the kernel cannot filter system calls; the capabilities are dropped all the same. */
export async function confineForSetUp(): Promise<void> {
  await keepOnly([...KEPT, ...KEPT_FOR_SET_UP]);
  try {
    native.refuseCalls();
  } catch (error) {
    throw new PostcopyError('HOST_LACKS', 'the kernel does not filter system calls (CONFIG_SECCOMP_FILTER)', error);
  }
}

export function confineForLife(): Promise<void> {
  // For the VM's next move: the kernel does not load it for a process that is confined.
  native.tryKernelTls();
  return keepOnly(KEPT);
}

async function keepOnly(capabilities: readonly Capability[]): Promise<void> {
  const numbers = numbersOf(capabilities);
  const deadline = Deadline.in(THREADS_WAIT_MS);
  for (let late = dropOthers(numbers); late > 0; late = dropOthers(numbers)) {
    if (deadline.leftMs === 0) {
      throw new PostcopyError('INTERNAL', `${late} threads, which wait in the kernel, have not dropped theirs yet`);
    }
    await delay(THREADS_POLL_MS);
  }
}

/** Returns how many threads have others still. */
function dropOthers(numbers: Uint32Array): number {
  try {
    return native.keepCapabilities(numbers);
  } catch (error) {
    throw new PostcopyError('INTERNAL', 'capabilities cannot be dropped', error);
  }
}
