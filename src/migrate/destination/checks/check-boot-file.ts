/**
 * Kernel and initrd of a VM that wants to come: a guest that is reset here is booted from them again, so they must be
 * what it was booted from. The peer names the paths, and nobody has said that it may: so only what begins as a kernel or
 * an initrd does is read, no more than fits into the guest, and the answer is the same whatever else is there.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { within } from '../../../basics/within.js';
import { isElf } from '../../../boot/elf.js';
import { isInitrd } from '../../../boot/file-kind.js';
import { isBzImage } from '../../../boot/setup-header.js';
import type { Hello } from '../../wire/message.js';

type BootFile = Hello['files'][number];

/** More than a kernel's setup header needs. */
const HEAD_BYTES = 4096;

/** What the storage of a file may take to answer. An automount may wait for ever, and the source waits for this. */
const READ_LIMIT_MS = 20_000;

/** Reads that nobody waits for any more. Each holds a thread of the few that Node reads files with. */
let hanging = 0;
const MOST_HANGING = 2;

/** What stands against it, if anything does. */
export async function bootFileObjections(
  file: BootFile,
  memoryBytes: number,
  isSame: (file: BootFile) => Promise<boolean> = isSameHere,
): Promise<string[]> {
  if (hanging >= MOST_HANGING) return [noAnswer(file)];
  const read = file.bytes <= memoryBytes ? isSame(file).catch(() => false) : Promise.resolve(false);
  const isHere = await within(read, READ_LIMIT_MS, () => {
    hanging++;
    void read.then(() => hanging--);
    return undefined;
  });
  if (isHere === true) return [];
  if (isHere === undefined) return [noAnswer(file)];
  return [`${file.role} ${file.path} is missing here, or is another one: copy it from the source host`];
}

function noAnswer({ role, path }: BootFile): string {
  return `${role} ${path} cannot be read here in time: see whether its storage answers`;
}

async function isSameHere(file: BootFile): Promise<boolean> {
  // Before it is opened, which has effects on some devices; and reading one may never end.
  if (!(await stat(file.path)).isFile()) return false;
  const handle = await open(file.path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const found = await handle.stat();
    // Some files of /proc say that they are empty, and are not.
    if (!found.isFile() || found.size === 0 || found.size !== file.bytes) return false;
    return beginsAs(file.role, await readHead(handle)) && (await hashOf(handle, file.bytes)) === file.sha256;
  } finally {
    await handle.close();
  }
}

function beginsAs(role: BootFile['role'], head: Uint8Array): boolean {
  return role === 'kernel' ? isElf(head) || isBzImage(head) : isInitrd(head);
}

async function readHead(handle: FileHandle): Promise<Uint8Array> {
  const { buffer, bytesRead } = await handle.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}

async function hashOf(handle: FileHandle, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(handle.createReadStream({ start: 0, end: bytes - 1, autoClose: false }), hash);
  return hash.digest('hex');
}
