import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readlinkSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TerminalOutput } from '../../../src/console/terminal-output.js';

// A FIFO takes the terminal's part: it fills up in the same way, and /proc/self/fd opens it again in the same way.
const MORE_THAN_FITS = 1024 * 1024;
let directory: string;
let fifo: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postcopy-terminal-'));
  execFileSync('mkfifo', [join(directory, 'fifo')]);
  fifo = openSync(join(directory, 'fifo'), constants.O_RDWR | constants.O_NONBLOCK);
});
afterEach(() => {
  closeSync(fifo);
  rmSync(directory, { recursive: true });
});

function readSome(): Buffer {
  const into = Buffer.alloc(64 * 1024);
  try {
    return into.subarray(0, readSync(fifo, into));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return Buffer.alloc(0);
    throw error;
  }
}

function descriptorsOfFifo(): number {
  const link = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the one that listed the directory
    }
  };
  return readdirSync('/proc/self/fd').filter((fd) => link(fd) === join(directory, 'fifo')).length;
}

it('goes on where it was when the terminal reads again, and loses nothing', async () => {
  const output = TerminalOutput.open(fifo)!;
  const sent = Buffer.from(Array.from({ length: MORE_THAN_FITS / 8 }, (_, n) => String(n).padStart(8)).join(''));
  output.write(sent);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(output.writableLength).toBe(MORE_THAN_FITS);
  const parts: Buffer[] = [];
  for (let got = 0; got < sent.length; got += parts.at(-1)!.length) {
    parts.push(readSome());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
  output.destroy();
});

it('is given up with what is unwritten, and closes its descriptor', async () => {
  expect(descriptorsOfFifo()).toBe(1);
  const output = TerminalOutput.open(fifo)!;
  expect(descriptorsOfFifo()).toBe(2);
  output.write(Buffer.alloc(MORE_THAN_FITS));
  await new Promise((resolve) => setTimeout(resolve, 50));
  output.destroy();
  await vi.waitFor(() => expect(descriptorsOfFifo()).toBe(1));
});

it('is not there where the terminal cannot be opened again', () => {
  expect(TerminalOutput.open(100_000)).toBeUndefined();
});
