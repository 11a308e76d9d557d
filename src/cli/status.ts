import type { ProcessRights } from '../confine/process-rights.js';
import type { DiskStatus } from '../host/host-disks.js';
import { bytesOfPages } from '../memory/page-size.js';
import type { ArrivalProgress, LinkInterruption, VmStatus } from '../vm/service.js';
import { advised } from './advice.js';
import { EXIT_OK } from './exit-codes.js';
import { progressLine } from './migration-text.js';
import { printJson, type Output } from './output.js';
import { formatFields } from '../basics/table.js';
import { formatDuration, formatRate, formatSize } from '../basics/units.js';
import { withClient } from './with-client.js';

export interface StatusOptions {
  json?: boolean;
}

/** `postcopy status`: what a VM of this host is doing. */
export async function statusCommand(name: string, options: StatusOptions, output: Output): Promise<number> {
  const status = await withClient(name, (client) => client.status());
  if (options.json === true) printJson(output, status);
  else output.out(statusText(status));
  return EXIT_OK;
}

export function statusText(status: VmStatus): string {
  return formatFields([
    ['name', status.name],
    ['machine', status.machine],
    ['state', stateText(status)],
    ['problem', status.problem && advised(status.problem, status.facts)],
    ['awaits', status.awaits],
    ['guest', panicText(status.panickedAt)],
    ['lost', lostText(status.lostPages)],
    ['process', `${status.pid}, postcopy ${status.version}`],
    // `receive` knows the VM's shape when it has come.
    ['memory', status.memoryBytes === 0 ? undefined : formatSize(status.memoryBytes)],
    ['CPU', status.cpu],
    ['vCPUs', status.cpus === 0 ? undefined : String(status.cpus)],
    ['up for', formatDuration(status.uptimeMs)],
    ['listens on', status.listen],
    ['peer', status.peer],
    ...(status.disks ?? []).map((disk): [string, string] => [`disk ${disk.id}`, diskText(disk, Date.now())]),
    ...(status.nets ?? []).map((net): [string, string] => [`net ${net.id}`, `${net.mac} on ${net.tap}`]),
    ['rights', status.rights && rightsText(status.rights)],
    ['arrival', status.arrival && arrivalText(status.arrival)],
    ['at risk', riskText(status)],
    ['link', status.interruption && interruptionText(status.interruption, Date.now())],
    ['migration', status.migration === undefined ? undefined : progressLine(status.name, status.migration)],
  ]);
}

/** `now`: milliseconds since 1970. */
function diskText({ path, readonly, errors }: DiskStatus, now: number): string {
  const failed =
    errors === undefined
      ? []
      : [`errors of the host: ${errors.count}, the last ${formatDuration(now - errors.at)} ago: ${errors.last}`];
  return [path, ...(readonly ? ['read-only'] : []), ...failed].join(', ');
}

/** `at`: milliseconds since 1970. */
function panicText(at: number | undefined): string | undefined {
  return at === undefined ? undefined : `its kernel has panicked at ${new Date(at).toISOString()}`;
}

function lostText(pages: number | undefined): string | undefined {
  return pages === undefined ? undefined : `${pages} pages of its memory, to memory errors`;
}

/** One that hangs on another host is not plainly running. */
function stateText({ state, arrival, peer }: VmStatus): string {
  return arrival === undefined ? state : `${state}, still arriving from ${peer}`;
}

function arrivalText({ pagesMissing, bytesMissing, bytesPerSecond, leftMs, faultsWaiting }: ArrivalProgress): string {
  return [
    `${pagesMissing} pages (${formatSize(bytesMissing)}) to come`,
    formatRate(bytesPerSecond),
    `${faultsWaiting} faults waiting`,
    leftMs === undefined ? 'nothing comes now' : `about ${formatDuration(leftMs)} left`,
  ].join(', ');
}

/** What is in one place only, at either end. */
function riskText({ name, state, arrival, migration, peer }: VmStatus): string | undefined {
  if (arrival !== undefined) {
    return `if ${peer} ends before the rest is here, ${name} is lost with ${formatSize(arrival.bytesMissing)} of its memory`;
  }
  if ((state !== 'handed-over' && state !== 'interrupted') || migration === undefined) return undefined;
  return (
    `${name} runs at ${peer}, which lacks ${formatSize(bytesOfPages(migration.pagesLeft))} of its memory: if this process ` +
    'ends before it has that, the VM is lost'
  );
}

/** Of the process, on its host. */
function rightsText({ noNewPrivileges, callFilter, capabilities }: ProcessRights): string {
  if (!noNewPrivileges || !callFilter) return 'not confined';
  return `confined, ${capabilities.length === 0 ? 'no capabilities' : `with ${capabilities.join(', ')}`}`;
}

/** `now`: milliseconds since 1970. */
function interruptionText(
  { since, reason, pagesMissing, faultsWaiting, ...rest }: LinkInterruption,
  now: number,
): string {
  const tries = rest.attempts === undefined ? [] : [`${rest.attempts} tries`];
  const next = rest.nextTryAt === undefined ? [] : [`next in ${formatDuration(Math.max(0, rest.nextTryAt - now))}`];
  const last = rest.lastError === undefined ? [] : [`the last: ${rest.lastError}`];
  return [
    `interrupted for ${formatDuration(now - since)} (${reason})`,
    `${pagesMissing} pages missing`,
    `${faultsWaiting} faults waiting`,
    ...[...tries, ...next, ...last],
  ].join(', ');
}
