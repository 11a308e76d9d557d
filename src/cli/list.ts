import { removeDeadName } from '../control/claim-name.js';
import type { LockFile } from '../host/file-lock.js';
import { listNames } from '../control/runtime-directory.js';
import type { VmStatus } from '../vm/service.js';
import { pagesLeave } from '../watch/events.js';
import { describeError, PostcopyError } from '../errors.js';
import { advised } from './advice.js';
import { EXIT_OK } from './exit-codes.js';
import { loadNative } from './load-native.js';
import { printJson, type Output } from './output.js';
import { formatTable } from '../basics/table.js';
import { formatDuration, formatSize } from '../basics/units.js';
import { withClient } from './with-client.js';

export interface ListOptions {
  json?: boolean;
}

/** A VM of this host, or what is left of one. */
export type ListEntry =
  | VmStatus
  | {
      name: string;
      /** starting: being built; unreachable: its process lives and does not answer; dead: its files were just removed. */
      state: 'starting' | 'unreachable' | 'dead';
      problem: string;
    };

/** `postcopy list`: the VMs of this host; files of dead ones are removed. */
export async function listCommand(options: ListOptions, output: Output, lockFile?: LockFile): Promise<number> {
  const entries = await Promise.all(listNames().map((name) => inspect(name, lockFile)));
  if (options.json === true) printJson(output, entries);
  else output.out(listText(entries));
  return EXIT_OK;
}

async function inspect(name: string, lockFile: LockFile | undefined): Promise<ListEntry> {
  try {
    return await withClient(name, (client) => client.status());
  } catch (error) {
    const problem = describeError(error);
    const code = error instanceof PostcopyError ? error.code : 'INTERNAL';
    if (code === 'WRONG_STATE') return { name, state: 'starting', problem };
    if (code === 'NO_SUCH_VM' && removeDeadName(name, lockFile ?? (await loadNative()).lockFile)) {
      return { name, state: 'dead', problem: 'its process is gone; its files were removed' };
    }
    return { name, state: 'unreachable', problem };
  }
}

export function listText(entries: ListEntry[]): string {
  if (entries.length === 0) return 'no VMs\n';
  return formatTable([['NAME', 'STATE', 'PID', 'MEMORY', 'VCPUS', 'DISKS', 'NETS', 'UP', 'NOTE'], ...entries.map(row)]);
}

function row(entry: ListEntry): string[] {
  if (!('pid' in entry)) return [entry.name, entry.state, '-', '-', '-', '-', '-', '-', entry.problem];
  return [
    entry.name,
    entry.state,
    String(entry.pid),
    // `receive` knows the VM's shape when it has come.
    entry.memoryBytes === 0 ? '-' : formatSize(entry.memoryBytes),
    entry.cpus === 0 ? '-' : String(entry.cpus),
    String(entry.disks?.length ?? '-'),
    String(entry.nets?.length ?? '-'),
    formatDuration(entry.uptimeMs),
    entry.awaits ?? (entry.problem && advised(entry.problem, entry.facts)) ?? placeNote(entry),
  ];
}

/** Where it is, or comes from, if it is not simply here. */
function placeNote({ state, listen, peer }: VmStatus): string {
  if (state === 'waiting') return `listens on ${listen ?? '?'}`;
  if (peer === undefined) return '';
  if (pagesLeave(state) || state === 'migrated') return `runs at ${peer}`;
  return `${state === 'incoming' ? 'comes' : 'came'} from ${peer}`;
}
