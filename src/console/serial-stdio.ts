import type { Readable, Writable } from 'node:stream';
import { KeyEscape } from './key-escape.js';
import type { SerialHub } from './serial-hub.js';
import { TerminalOutput } from './terminal-output.js';

/** Standard input: a terminal can be set raw. */
interface Keyboard extends Readable {
  isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

export interface Stdio {
  input: Keyboard;
  output: Writable;
}

/** What openSerialBackend() needs to undo and to follow a target. */
export interface SerialTarget {
  /** A serial port is there. */
  attached?(): void;
  close(): Promise<void>;
}

/** The guest's last output has this long to reach a terminal or pipe that is slow. */
const FLUSH_MS = 500;

/** The serial port on standard input and output. `quit` is called when Ctrl-a x is typed at a terminal. */
export function openStdioTarget(hub: SerialHub, quit: () => void, stdio: Stdio = processStdio()): SerialTarget {
  const { input, output } = stdio;
  hub.addReader(output);
  // A terminal that went away; SIGHUP tells the process.
  input.on('error', () => {});
  if (input.isTTY !== true) {
    hub.addWriter(input);
    return { close: () => closeStreams(stdio) };
  }
  const restore = () => void input.setRawMode?.(false);
  const escape = new KeyEscape();
  const onKeys = (typed: Buffer) => {
    const { forGuest, quit: wanted } = escape.take(typed);
    if (forGuest.length > 0) hub.type(forGuest);
    if (wanted) quit();
  };
  return {
    // Not before: until a guest is there, as in `receive`, Ctrl-C is for this process. Keys typed so far are left alone.
    attached() {
      if (input.listeners('data').includes(onKeys)) return;
      process.once('exit', restore);
      input.setRawMode?.(true);
      input.on('data', onKeys);
      input.resume();
    },
    async close() {
      process.off('exit', restore);
      input.off('data', onKeys);
      restore();
      await closeStreams(stdio);
    },
  };
}

function processStdio(): Stdio {
  const terminal = process.stdout.isTTY === true ? TerminalOutput.open(process.stdout.fd) : undefined;
  return { input: process.stdin, output: terminal ?? process.stdout };
}

async function closeStreams({ input, output }: Stdio): Promise<void> {
  input.pause();
  const deadline = performance.now() + FLUSH_MS;
  while (output.writable && output.writableLength > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // process.stdout is still needed for whatever the command has to say.
  if (output instanceof TerminalOutput) output.destroy();
}
