import { formatAddress, parseAddress } from '../configure/address.js';
import type { MigrationSummary } from '../control/service.js';
import { exitCodeOfMigration } from './exit-codes.js';
import { openLiveLine } from './live-line.js';
import { progressLine, summaryText } from './migration-text.js';
import { printJson, say, type Output } from './output.js';
import { withClient } from './with-client.js';

export interface MigrateOptions {
  json?: boolean;
}

/** `postcopy migrate`: moves a VM of this host to one where `postcopy receive` waits. */
export async function migrateCommand(
  name: string,
  to: string,
  options: MigrateOptions,
  output: Output,
): Promise<number> {
  const destination = parseAddress(to, 'connect');
  const summary = await migrate(name, destination, options.json !== true);
  if (options.json === true) printJson(output, summary);
  // Of a migration that never handed over there are no figures worth a table.
  else if (summary.status !== 'failed') output.out(summaryText(name, formatAddress(destination), summary));
  if (summary.status !== 'completed') say(output, failureLine(name, summary));
  return exitCodeOfMigration(summary.status);
}

async function migrate(
  name: string,
  destination: { host: string; port: number },
  live: boolean,
): Promise<MigrationSummary> {
  const line = await openLiveLine(live);
  try {
    return await withClient(name, (client) =>
      client.migrate(destination, (progress) => line.show(progressLine(name, progress))),
    );
  } finally {
    line.clear();
  }
}

function failureLine(name: string, { status, error }: MigrationSummary): string {
  const where = status === 'failed' ? `${name} runs on here` : `${name} is at the destination and lacks pages`;
  return `the migration ${status === 'failed' ? 'failed' : 'lost its link'}, ${where}: ${error?.message ?? 'no reason given'}`;
}
