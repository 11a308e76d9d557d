import { resolve } from 'node:path';
import { PostcopyError } from '../errors.js';

/** Where a console port of the guest goes. Paths are absolute. */
export type SerialSetting =
  { kind: 'stdio' } | { kind: 'null' } | { kind: 'file'; path: string } | { kind: 'unix'; path: string };

/** sun_path of unix(7) holds 108 bytes, one of them the NUL. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** What parseSerialSetting() takes, as far as a pattern can say it. */
export const SERIAL_SETTING_PATTERN = '^(stdio|null|(file|unix):[^\\0]+)$';

/** Parses stdio, null, file:PATH or unix:PATH; relative paths begin at `base`. Throws BAD_CONFIG. */
export function parseSerialSetting(text: string, base: string = process.cwd()): SerialSetting {
  if (text === 'stdio' || text === 'null') return { kind: text };
  const match = /^(file|unix):(.+)$/s.exec(text);
  if (match === null) throw badSerial(text, 'give stdio, null, file:PATH or unix:PATH');
  const path = resolve(base, match[2]!);
  if (path.includes('\0')) throw badSerial(text, 'the path contains a NUL character');
  if (match[1] === 'file') return { kind: 'file', path };
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw badSerial(text, `the path of a socket has at most ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  return { kind: 'unix', path };
}

function badSerial(text: string, why: string): PostcopyError {
  return new PostcopyError('BAD_CONFIG', `'${text}' is no serial port setting: ${why}`);
}
