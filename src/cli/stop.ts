import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { lockPath } from '../control/runtime-directory.js';
import type { VmStatus } from '../vm/service.js';
import { EXIT_OK, exitCodeOf } from './exit-codes.js';
import { openLiveLine, say, type Output } from './output.js';
import { withClient } from './with-client.js';

export interface StopOptions {
  force?: boolean;
  /** Seconds. */
  timeout?: number;
}

/** The process of a VM that has ended has this long to go away. */
const LAST_STEPS_MS = 5000;
const POLL_MS = 20;

/** `postcopy stop`: presses the VM's power button, or cuts its power, and returns when its name is free again. */
export async function stopCommand(
  name: string,
  { force = false, timeout }: StopOptions,
  output: Output,
): Promise<number> {
  const line = await openLiveLine(!force);
  let lost: string | undefined;
  line.show(`${name}: waiting for the guest to shut down`);
  try {
    lost = await withClient(name, async (client) => {
      const before = force ? await client.status() : undefined;
      await client.stop({ force, ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }) });
      return before && lossOf(before);
    });
  } finally {
    line.clear();
  }
  await nameIsFree(name);
  if (lost === undefined) return EXIT_OK;
  say(output, lost);
  return exitCodeOf('LINK_LOST');
}

/** Of a VM whose other end is gone for good, as whoever ends what is here has said by that. */
function lossOf({ name, state, peer, interruption, facts = [] }: VmStatus): string | undefined {
  if (facts.some(({ kind }) => kind === 'in-doubt')) return undefined;
  if (state !== 'link-lost' && interruption === undefined) return undefined;
  const unless = state === 'running' || state === 'paused' ? '' : `, unless ${peer} has all of it and runs it`;
  return `${name} is ended here, and lost${unless}: start it again from its disks`;
}

async function nameIsFree(name: string): Promise<void> {
  const deadline = performance.now() + LAST_STEPS_MS;
  while (existsSync(lockPath(name)) && performance.now() < deadline) await delay(POLL_MS);
}
