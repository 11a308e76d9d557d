/**
 * A directory of its own for everything that a test file's processes write, and the check that nothing is left of them:
 * no process, no file. RAM of guests is memory of these processes, so it is gone with them.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll } from 'vitest';

/** Every process that a test starts inherits it. */
export const ROOM_MARK = 'POSTCOPY_TEST_ROOM';
/** Where commands without a directory of their own put control sockets and locks. */
const RUNTIME = 'run';
const ENDING_MS = 5000;
const POLL_MS = 50;

/** Call it once at the top of a test file; the path is that of an empty directory. */
export function useCleanRoom(): string {
  const outside = process.env['TMPDIR'];
  const room = mkdtempSync(join(tmpdir(), 'postcopy-room-'));
  process.env['TMPDIR'] = room;
  process.env[ROOM_MARK] = room;
  process.env['POSTCOPY_RUNTIME_DIR'] = join(room, RUNTIME);
  afterAll(async () => {
    const processes = await survivors(room);
    for (const { pid } of processes) kill(pid);
    const files = readdirSync(room, { recursive: true })
      .map(String)
      .filter((file) => file !== RUNTIME);
    rmSync(room, { recursive: true, force: true });
    if (outside === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = outside;
    const left = [...processes.map(({ command }) => `process ${command}`), ...files.map((file) => `file ${file}`)];
    if (left.length > 0) throw new Error(`left behind: ${left.join('; ')}`);
  });
  return room;
}

interface Survivor {
  pid: number;
  command: string;
}

/** Processes of the room that do not end by themselves. */
export async function survivors(room: string): Promise<Survivor[]> {
  const deadline = Date.now() + ENDING_MS;
  for (;;) {
    const left = processesOf(room);
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(POLL_MS);
  }
}

function processesOf(room: string): Survivor[] {
  const found: Survivor[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // A process that has ended meanwhile, or a zombie, has no environment.
    const environment = read(`/proc/${pid}/environ`).split('\0');
    if (!environment.includes(`${ROOM_MARK}=${room}`)) continue;
    found.push({ pid: Number(pid), command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() });
  }
  return found;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}
