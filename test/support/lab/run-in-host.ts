import type { Lab } from './lab.js';
import type { RemoteProcess } from './remote-process.js';

/** Runs a command in the lab's first host with its output on ours, as it comes; its exit code. */
export async function runInHost(lab: Lab, command: string, timeoutMs: number): Promise<number> {
  const remote = lab.host(1).spawn(command);
  remote.endInput();
  remote.on('stdout', (text: string) => process.stdout.write(text));
  remote.on('stderr', (text: string) => process.stderr.write(text));
  return remote.ended(timeoutMs);
}

/** A shell in the first host on this terminal, until it ends; its exit code. */
export async function shellInHost(lab: Lab): Promise<number> {
  const size = `stty rows ${process.stdout.rows ?? 24} cols ${process.stdout.columns ?? 80}`;
  const remote = lab.host(1).spawn(`${size}; exec sh -i`, { terminal: true });
  remote.on('stdout', (text: string) => process.stdout.write(text));
  const restore = joinInput(remote);
  try {
    return await remote.ended(DAY_MS);
  } finally {
    restore();
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

function joinInput(remote: RemoteProcess): () => void {
  const { stdin } = process;
  const raw = stdin.isTTY;
  if (raw) stdin.setRawMode(true);
  stdin.on('data', (bytes: Buffer) => remote.write(bytes));
  stdin.on('end', () => remote.endInput());
  return () => {
    if (raw) stdin.setRawMode(false);
    stdin.pause();
  };
}
