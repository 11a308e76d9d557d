import { resolve } from 'node:path';
import { formatAddress, parseAddress } from '../configure/address.js';
import type { VmClient } from '../control/client.js';
import type { GivenMigrateOptions } from '../migrate/options.js';
import type { MigrationSummary } from '../migrate/report/summary.js';
import type { MigrateRequest } from '../vm/service.js';
import { advised } from './advice.js';
import { exitCodeOf, exitCodeOfMigration } from './exit-codes.js';
import { openLiveLine, printJson, say, type Output } from './output.js';
import { givenMigrateOptions } from './migrate-flags.js';
import { progressLine, summaryText } from './migration-text.js';
import { requireWritable } from './require-writable.js';
import { givenSecurity, type SecurityFlags } from './security-flags.js';
import { withClient } from './with-client.js';

export interface MigrateCommandOptions extends GivenMigrateOptions, SecurityFlags {
  json?: boolean;
  trace?: string;
}

type Fate = 'runs' | 'paused' | 'over';

const FATES: Record<Fate, string> = {
  runs: 'NAME runs on here',
  paused: 'NAME is paused here ("postcopy resume NAME" lets it go on)',
  over: 'and NAME has ended here',
};

interface Outcome {
  summary: MigrationSummary;
  /** After a failure. */
  fate: Fate | undefined;
}

/** `postcopy migrate`: moves a VM of this host to one where `postcopy receive` waits. */
export async function migrateCommand(
  name: string,
  to: string,
  options: MigrateCommandOptions,
  output: Output,
): Promise<number> {
  const destination = parseAddress(to, 'connect');
  if (options.trace !== undefined) requireWritable(options.trace, 'trace');
  const { summary, fate } = await migrate(
    name,
    { ...destination, ...givenSecurity(options), ...givenMigrateOptions(options), ...givenTrace(options) },
    options.json !== true,
  );
  if (options.json === true) printJson(output, summary);
  // Of a migration that never handed over there are no figures worth a table.
  else if (summary.status !== 'failed') output.out(summaryText(name, formatAddress(destination), summary));
  if (summary.status !== 'completed') say(output, failureLine(name, summary, fate));
  return summary.status === 'failed' && fate === 'over' ? exitCodeOf('NO_SUCH_VM') : exitCodeOfMigration(summary);
}

/** The VM's process may be in another directory. */
function givenTrace({ trace }: MigrateCommandOptions): Pick<MigrateRequest, 'trace'> {
  return trace === undefined ? {} : { trace: resolve(trace) };
}

async function migrate(name: string, request: MigrateRequest, live: boolean): Promise<Outcome> {
  const line = await openLiveLine(live);
  try {
    return await withClient(name, async (client) => {
      const summary = await client.migrate(request, (progress) => line.show(progressLine(name, progress)));
      return { summary, fate: summary.status === 'failed' ? await fateOf(client) : undefined };
    });
  } finally {
    line.clear();
  }
}

/** What became of a VM whose migration failed: perhaps it failed because the VM was stopped, or powered itself off. */
async function fateOf(client: VmClient): Promise<Fate> {
  const status = await client.status().catch(() => undefined);
  if (status === undefined || status.state === 'stopped' || status.state === 'failed') return 'over';
  return status.state === 'paused' ? 'paused' : 'runs';
}

function failureLine(name: string, { status, error, inDoubt }: MigrationSummary, fate: Fate = 'runs'): string {
  const why = advised(error?.message ?? 'no reason given', error?.facts);
  if (inDoubt === true) {
    return `the migration lost its link, whether ${name} got to the destination is not known here (see "postcopy status ${name}"): ${why}`;
  }
  if (status === 'link-lost') {
    return `the migration lost its link, ${name} is at the destination and may lack pages: ${why}`;
  }
  return `the migration failed, ${FATES[fate].replaceAll('NAME', name)}: ${why}`;
}
