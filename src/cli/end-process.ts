import { EXIT_OK, exitCodeOf } from './exit-codes.js';
import { allIsSaid, processOutput, say, whyResultIsLost, written } from './output.js';

/** How this process ends, once its command has: with the exit code given. */
let end: (exitCode: number) => never = (exitCode) => process.exit(exitCode);

/** A thread waits in the kernel for a page that does not come: process.exit() would wait for it. `exitNow`: the addon's. */
export function leaveThreadsBehind(exitNow: (exitCode: number) => never): void {
  end = exitNow;
}

/** What was written to a pipe is still on its way. Nothing else may keep a finished command alive. */
export async function endProcess(exitCode: number): Promise<never> {
  await written(process.stdout);
  const lost = whyResultIsLost();
  if (lost !== undefined) say(processOutput, `the result cannot be written to standard output: ${lost.message}`);
  await allIsSaid();
  return end(lost !== undefined && exitCode === EXIT_OK ? exitCodeOf('INTERNAL') : exitCode);
}
