import { EXIT_OK } from './exit-codes.js';
import { withClient } from './with-client.js';

/** `postcopy pause`: stops the VM's vCPUs until `resume`. */
export async function pauseCommand(name: string): Promise<number> {
  await withClient(name, (client) => client.pause());
  return EXIT_OK;
}

/** `postcopy resume`: lets a paused VM go on; with --force, one whose hand-over broke. */
export async function resumeCommand(name: string, options: { force?: boolean }): Promise<number> {
  await withClient(name, (client) => client.resume(options));
  return EXIT_OK;
}
