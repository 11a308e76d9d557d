import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describeError, PostcopyError } from '../errors.js';
import { withDiskPathFrom } from './disk.js';
import { checkVmSettings, type VmConfig } from './vm-config.js';

/** Settings by name, not checked yet; those that are undefined were not given. */
export type RawSettings = Record<string, unknown>;

/**
 * The VM of a configuration file (if any) with the flags put over it: a flag wins over the file. Relative paths in the
 * file begin at the file's directory, those in flags at the working directory. `background`: the process has no terminal. Throws BAD_CONFIG with all problems.
 */
export function loadVmConfig(file: string | undefined, flags: RawSettings, background = false): VmConfig {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  if (file === undefined) return checkVmSettings(given, background);
  const settings = { ...readSettings(file), ...given };
  try {
    return checkVmSettings(settings, background);
  } catch (error) {
    // Which of the two a setting came from is plain from its name; which file it was is not.
    if (error instanceof PostcopyError)
      throw new PostcopyError(error.code, prefixLines(file, error.message), undefined, error.facts);
    throw error;
  }
}

function readSettings(file: string): RawSettings {
  const settings = parseJson(file, readText(file));
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) {
    throw new PostcopyError('BAD_CONFIG', `${file}: must be a JSON object like {"kernel": "vmlinuz", "memory": "1G"}`);
  }
  return withPathsFrom(dirname(resolve(file)), settings as RawSettings);
}

/** Far beyond any VM's; a pipe is a file as well, and a device that never ends would fill the host's memory. */
const FILE_BYTES_MAX = 1 << 20;

function readText(file: string): string {
  let text: string | undefined;
  try {
    text = readAtMost(file, FILE_BYTES_MAX)?.toString('utf8');
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `${file}: the configuration file cannot be read`, error);
  }
  if (text === undefined)
    throw new PostcopyError('BAD_CONFIG', `${file}: is larger than a configuration file can be (1 MiB)`);
  return text;
}

/** Undefined if it is larger. */
function readAtMost(file: string, bytes: number): Buffer | undefined {
  const fd = openSync(file, 'r');
  try {
    const content = Buffer.alloc(bytes + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length <= bytes; length += got) {
      got = readSync(fd, content, length, content.length - length, null);
    }
    return length <= bytes ? content.subarray(0, length) : undefined;
  } finally {
    closeSync(fd);
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PostcopyError('BAD_CONFIG', `${file}: is not JSON: ${describeError(error)}`);
  }
}

const PATH_SETTINGS = ['kernel', 'initrd'];
const CONSOLE_SETTINGS = ['serial', 'console'];

function withPathsFrom(base: string, settings: RawSettings): RawSettings {
  const result = { ...settings };
  for (const key of PATH_SETTINGS) {
    const path = result[key];
    if (typeof path === 'string' && path !== '') result[key] = resolve(base, path);
  }
  for (const key of CONSOLE_SETTINGS) {
    const setting = result[key];
    const parts = typeof setting === 'string' ? /^(file|unix):(.+)$/s.exec(setting) : null;
    if (parts !== null) result[key] = `${parts[1]}:${resolve(base, parts[2]!)}`;
  }
  if (Array.isArray(result.disks)) result.disks = result.disks.map((disk) => withDiskPathFrom(base, disk));
  return result;
}

function prefixLines(file: string, message: string): string {
  return message
    .split('\n')
    .map((line) => `${file}: ${line}`)
    .join('\n');
}
