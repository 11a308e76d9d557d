import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { lockPath } from '../control/runtime-directory.js';
import { EXIT_OK } from './exit-codes.js';
import { openLiveLine } from './output.js';
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
export async function stopCommand(name: string, { force = false, timeout }: StopOptions): Promise<number> {
  const line = await openLiveLine(!force);
  line.show(`${name}: waiting for the guest to shut down`);
  try {
    await withClient(name, (client) =>
      client.stop({ force, ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }) }),
    );
  } finally {
    line.clear();
  }
  await nameIsFree(name);
  return EXIT_OK;
}

async function nameIsFree(name: string): Promise<void> {
  const deadline = performance.now() + LAST_STEPS_MS;
  while (existsSync(lockPath(name)) && performance.now() < deadline) await delay(POLL_MS);
}
