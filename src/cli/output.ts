import { plain } from '../basics/plain.js';

/** Where a command writes; injected, so that tests read it. */
export interface Output {
  /** Results, to standard output. */
  out(text: string): void;
  /** Everything else, to standard error. */
  err(text: string): void;
}

/** The first error of writing a result. */
let resultLost: NodeJS.ErrnoException | undefined;

export const processOutput: Output = {
  out: (text) => void process.stdout.write(text, (error) => (resultLost ??= error ?? undefined)),
  err: (text) => void process.stderr.write(text),
};

/**
 * A reader that has gone (`| head`, a dead `tee`) or a full disk must end no VM and no migration, as an 'error' event
 * that nobody listens to would: what cannot be written is lost.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

/** Why a result did not get to standard output, once all is written; not that its reader wanted no more of it. */
export function whyResultIsLost(): Error | undefined {
  return resultLost?.code === 'EPIPE' ? undefined : resultLost;
}

/** `postcopy: ...` on standard error, for each line of the message. */
export function say(output: Output, message: string): void {
  for (const line of message.split('\n')) output.err(`postcopy: ${plain(line)}\n`);
}

export function printJson(output: Output, value: unknown): void {
  output.out(`${JSON.stringify(value)}\n`);
}
