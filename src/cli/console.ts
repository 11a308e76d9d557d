import { once } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { ConsolePort } from '../console/console-port.js';
import { EXIT_OK } from './exit-codes.js';
import { say, type Output } from './output.js';
import { onEndSignals } from './signals.js';
import { withClient } from './with-client.js';

/** Ctrl-], as in telnet: leaves the console, the VM goes on. */
const DETACH_KEY = 0x1d;
/** What was typed last has this long to reach the guest. */
const LAST_INPUT_MS = 200;

export interface ConsoleStdio {
  input: Readable & { isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  output: Writable;
}

/** `postcopy console`: joins this terminal to a console of the VM until Ctrl-] or the VM's end. */
export async function consoleCommand(
  name: string,
  port: ConsolePort,
  output: Output,
  stdio: ConsoleStdio = { input: process.stdin, output: process.stdout },
): Promise<number> {
  const stream = await withClient(name, (client) => client.console(port));
  const terminal = stdio.input.isTTY === true;
  if (terminal) say(output, `console of ${name}: Ctrl-] leaves it`);
  const detached = await join(stream, stdio, terminal);
  if (terminal)
    say(output, detached ? `left the console of ${name}` : `the console of ${name} was closed by its process`);
  return EXIT_OK;
}

/** True if this end left, false if the other one did. */
async function join(stream: Duplex, { input, output }: ConsoleStdio, terminal: boolean): Promise<boolean> {
  let detached = false;
  const detach = () => {
    detached = true;
    stream.end(() => stream.destroy());
    setTimeout(() => stream.destroy(), LAST_INPUT_MS);
  };
  const onInput = (bytes: Buffer) => {
    const key = terminal ? bytes.indexOf(DETACH_KEY) : -1;
    if (key !== 0 && !stream.write(key < 0 ? bytes : bytes.subarray(0, key)) && !terminal) input.pause();
    if (key >= 0) detach();
  };
  const onOutput = (bytes: Buffer) => {
    if (!output.write(bytes)) stream.pause();
  };
  const goOnReading = () => stream.resume();
  const stopSignals = onEndSignals(detach);
  stream.on('error', () => stream.destroy());
  if (terminal) input.setRawMode?.(true);
  try {
    output.on('drain', goOnReading).on('error', detach);
    stream.on('data', onOutput).on('drain', () => input.resume());
    stream.on('end', () => stream.end());
    input.on('data', onInput);
    await once(stream, 'close');
  } finally {
    if (terminal) input.setRawMode?.(false);
    input.off('data', onInput).pause();
    output.off('drain', goOnReading).off('error', detach);
    stopSignals();
  }
  return detached;
}
