import { runHere } from './commands.js';

const MIB = 1024 * 1024;
/** Room for what a run writes (snapshots are thrown away with the host), and for ext4 itself. */
const SLACK = 1.15;
const ROOM_MIB = 128;

async function sizeMib(root: string): Promise<number> {
  const bytes = Number((await runHere('du', ['-sb', root])).split('\t')[0]);
  return Math.ceil((bytes / MIB) * SLACK) + ROOM_MIB;
}

/** An ext4 image of a folder. Sparse, no journal: hosts write to throw-away snapshots of it. */
export async function makeDiskImage(root: string, target: string): Promise<void> {
  const options = ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-E', 'root_owner=0:0', '-d', root];
  await runHere('mke2fs', [...options, target, `${await sizeMib(root)}M`]);
}
