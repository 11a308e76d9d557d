/**
 * Keeps the host from being shut down while pages of a VM leave or arrive (systemd-inhibit(1)): neither end has all of it then.
 * Nothing of the VM depends on it; where there is no systemd, or it does not let this user inhibit anything, nothing happens.
 *
 * A process that is confined starts no program, so a shell is started before. It holds the lock from one word to the next,
 * and ends with this process: its input is at its end then.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { VmService } from '../vm/service.js';
import type { VmState } from '../watch/events.js';

/** There if systemd has booted this host (sd_booted(3)). */
const SYSTEMD = '/run/systemd/system';
/** The words are read here alone; $0 is the VM's name. */
const HOLDER = `
while read -r word; do
  [ "$word" = hold ] || continue
  systemd-inhibit --what=shutdown:sleep --mode=block --who=postcopy --why="memory of the VM $0 is on its way" \\
    sh -c 'read -r word'
done`;
const LEAVES: ReadonlySet<VmState> = new Set(['handed-over', 'interrupted']);

export interface ShutdownInhibitor {
  /** The result says that it is over. */
  follow(vm: Pick<VmService, 'status' | 'events'>): () => void;
}

const NONE: ShutdownInhibitor = { follow: () => () => {} };

/** Opened before the process drops its rights. `systemd`: what shows that it is there. */
export function openShutdownInhibitor(name: string, systemd = SYSTEMD): ShutdownInhibitor {
  if (!existsSync(systemd)) return NONE;
  // A session of its own: what ends the terminal's processes does not end it before the VM's.
  const holder = spawn('sh', ['-c', HOLDER, name], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  holder.on('error', () => {}); // then nothing is held
  letGo(holder);
  const words = holder.stdin!;
  words.on('error', () => {});
  return { follow: (vm) => followWith(words, vm) };
}

/** It keeps no process alive. */
function letGo(holder: ChildProcess): void {
  holder.unref();
  (holder.stdin as unknown as { unref?(): void }).unref?.();
}

function followWith(words: Writable, vm: Pick<VmService, 'status' | 'events'>): () => void {
  let arrives = false;
  let held = false;
  const update = (): void => {
    const wanted = arrives || LEAVES.has(vm.status().state);
    if (wanted !== held) words.write(wanted ? 'hold\n' : 'release\n');
    held = wanted;
  };
  const unsubscribe = vm.events.subscribe(({ type }) => {
    if (type === 'progress') return;
    if (type === 'arrived') arrives = true;
    if (type === 'whole' || type === 'lost') arrives = false;
    update();
  });
  update();
  return () => {
    unsubscribe();
    words.end();
  };
}
