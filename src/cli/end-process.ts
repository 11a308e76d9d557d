/** How this process ends, once its command has: with the exit code given. */
let end: (exitCode: number) => never = (exitCode) => process.exit(exitCode);

/** A thread waits in the kernel for a page that does not come: process.exit() would wait for it. `exitNow`: the addon's. */
export function leaveThreadsBehind(exitNow: (exitCode: number) => never): void {
  end = exitNow;
}

/** What was written to a pipe is still on its way. Nothing else may keep a finished command alive. */
export async function endProcess(exitCode: number): Promise<never> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write('', resolve))),
  );
  return end(exitCode);
}
