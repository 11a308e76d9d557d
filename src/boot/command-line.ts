import { PostcopyError } from '../errors.js';
import type { GuestMemory } from '../memory/guest-memory.js';
import { CMDLINE_ADDRESS, CMDLINE_AREA_BYTES } from '../memory/layout.js';

/** Longest command line that fits its place in guest memory, in bytes, without the NUL. */
export const CMDLINE_BYTES_MAX = CMDLINE_AREA_BYTES - 1;

/**
 * The command line as a NUL-terminated string of at most `limit` bytes before the NUL.
 * Throws BAD_CONFIG for one that is too long: a kernel would silently cut it.
 */
export function encodeCommandLine(cmdline: string, limit: number): Uint8Array {
  if (cmdline.includes('\0')) throw new PostcopyError('BAD_CONFIG', 'the kernel command line contains a NUL character');
  const text = new TextEncoder().encode(cmdline);
  const most = Math.min(limit, CMDLINE_BYTES_MAX);
  if (text.length > most) {
    throw new PostcopyError(
      'BAD_CONFIG',
      `the kernel command line has ${text.length} bytes, this kernel takes ${most}: shorten it`,
    );
  }
  const terminated = new Uint8Array(text.length + 1);
  terminated.set(text);
  return terminated;
}

/** Writes an encoded command line to its place and returns the address. */
export function writeCommandLine(memory: GuestMemory, encoded: Uint8Array): number {
  memory.write(CMDLINE_ADDRESS, encoded);
  return CMDLINE_ADDRESS;
}
