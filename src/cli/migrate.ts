import { resolve } from 'node:path';
import { describeError } from '../errors.js';
import { formatDuration } from '../basics/units.js';
import { formatAddress, parseAddress } from '../configure/address.js';
import type { VmClient } from '../control/client.js';
import type { GivenMigrateOptions } from '../migrate/options.js';
import type { MigrationSummary } from '../migrate/report/summary.js';
import type { MigrateRequest } from '../vm/service.js';
import { advised } from './advice.js';
import { CtrlC } from './ctrl-c.js';
import { exitCodeOf, exitCodeOfMigration, exitCodeOfSignal } from './exit-codes.js';
import { openLiveLine, printJson, say, type Output } from './output.js';
import { givenMigrateOptions } from './migrate-flags.js';
import { dryRunText, progressLine, summaryText } from './migration-text.js';
import { requireWritable } from './require-writable.js';
import { signalNumber } from './signals.js';
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
  /** Ctrl-C asked for its end. */
  cancelled: boolean;
}

const EXIT_INTERRUPTED = exitCodeOfSignal(signalNumber('SIGINT'));

/** `postcopy migrate`: moves a VM of this host to one where `postcopy receive` waits. */
export async function migrateCommand(
  name: string,
  to: string,
  options: MigrateCommandOptions,
  output: Output,
): Promise<number> {
  const destination = parseAddress(to, 'connect');
  if (options.trace !== undefined) requireWritable(options.trace, 'trace');
  const request = {
    ...{ ...destination, ...givenSecurity(options), ...givenMigrateOptions(options) },
    ...givenTrace(options),
  };
  const ended = await migrate(name, request, options.json !== true, output);
  if (ended === 'left') return EXIT_INTERRUPTED;
  const { summary, fate, cancelled } = ended;
  if (options.json === true) printJson(output, summary);
  // Of a migration that never handed over there are no figures worth a table.
  else if (summary.status === 'dry-run') output.out(dryRunText(name, formatAddress(destination), summary));
  else if (summary.status !== 'failed') output.out(summaryText(name, formatAddress(destination), summary));
  if (summary.error !== undefined) say(output, failureLine(name, summary, fate));
  if (summary.status === 'failed' && cancelled) return EXIT_INTERRUPTED;
  return summary.status === 'failed' && fate === 'over' ? exitCodeOf('NO_SUCH_VM') : exitCodeOfMigration(summary);
}

/** The VM's process may be in another directory. */
function givenTrace({ trace }: MigrateCommandOptions): Pick<MigrateRequest, 'trace'> {
  return trace === undefined ? {} : { trace: resolve(trace) };
}

async function migrate(
  name: string,
  request: MigrateRequest,
  live: boolean,
  output: Output,
): Promise<Outcome | 'left'> {
  const line = await openLiveLine(live);
  const ctrlC = new CtrlC(name, (text) => {
    line.clear();
    say(output, text);
  });
  try {
    return await withClient(name, async (client) => {
      if (request.wait === true) await tellWait(client, (text) => say(output, text));
      const migration = client.migrate(request, (progress) => line.show(progressLine(name, progress)));
      migration.catch(() => {}); // of one that is left to itself
      const ended = await Promise.race([migration, ctrlC.left]).catch((error: unknown) => {
        if (!ctrlC.came) throw error;
        say(output, `the migration has not begun: ${describeError(error)}`);
        return 'left' as const;
      });
      if (ended === 'left') return ended;
      const fate = ended.status === 'failed' ? await fateOf(client) : undefined;
      return { summary: ended, fate, cancelled: ctrlC.came };
    });
  } finally {
    ctrlC.done();
    line.clear();
  }
}

/** Of a VM that has to arrive first. */
async function tellWait(client: VmClient, tell: (text: string) => void): Promise<void> {
  const { name, peer, arrival } = await client.status();
  if (arrival === undefined) return;
  const when = arrival.leftMs === undefined ? '' : `, about ${formatDuration(arrival.leftMs)} more`;
  tell(`${name} is still arriving from ${peer}: waiting for the rest${when}`);
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
    return `${name} is lost, start it again from its disks, unless it runs whole at the destination: ${why}`;
  }
  return `the migration failed, ${FATES[fate].replaceAll('NAME', name)}: ${why}`;
}
