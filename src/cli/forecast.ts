/** `postcopy forecast`: what a migration of a VM of this host would be in each mode, before it begins. */
import { parseLink } from '../bench/link/link-spec.js';
import { parseAddress } from '../configure/address.js';
import type { VmClient } from '../control/client.js';
import { MIGRATE_OPTIONS } from '../control/light-schemas.js';
import { isErrorCode } from '../control/protocol.js';
import { PostcopyError } from '../errors.js';
import { forecast, type ForecastLink, type ForecastOptions } from '../forecast/forecast.js';
import { recommend } from '../forecast/recommend.js';
import type { GivenMigrateOptions } from '../migrate/options.js';
import type { MigrationSummary } from '../migrate/report/summary.js';
import { EXIT_OK } from './exit-codes.js';
import { forecastText, type LinkForecast } from './forecast-text.js';
import { givenMigrateOptions } from './migrate-flags.js';
import { printJson, type Output } from './output.js';
import { givenSecurity, type SecurityFlags } from './security-flags.js';
import { withClient } from './with-client.js';

export interface ForecastCommandOptions
  extends Pick<GivenMigrateOptions, 'downtime' | 'timeout' | 'onTimeout' | 'bandwidth'>, SecurityFlags {
  link?: string;
  seconds?: number;
  json?: boolean;
}

/** Of links that are common, if nothing is known of the one to be. */
const USUAL_LINKS = ['1g', '10g', '25g'];
/** A round trip where none is given: of one host, or of two on one switch. */
const LOCAL_MICROS = 10;
const NEAR_MICROS = 60;
const BITS_PER_BYTE = 8;

type NamedLink = ForecastLink & { link: string };

export async function forecastCommand(
  name: string,
  to: string | undefined,
  options: ForecastCommandOptions,
  output: Output,
): Promise<number> {
  const destination = to === undefined ? undefined : parseAddress(to, 'connect');
  const said = options.link === undefined ? [] : [namedLink(options.link)];
  const security = givenSecurity(options);
  const [tried, measured] = await withClient(name, async (client) => {
    // First, because a destination that refuses the VM makes the rest idle.
    const trial = destination && (await tryLink(client, { ...destination, ...security }));
    return [trial, await client.measure(options.seconds === undefined ? {} : { seconds: options.seconds })];
  });
  const links = said.length > 0 ? said : tried === undefined ? USUAL_LINKS.map(namedLink) : [tried];
  const chosen = optionsOf(options);
  const forecasts = links.map(({ link, ...of }): LinkForecast => {
    const modes = forecast(measured, of, chosen);
    return { link, modes, recommended: recommend(modes) };
  });
  if (options.json === true) printJson(output, { name, measured, forecasts });
  else output.out(`${forecastText(name, measured, forecasts)}\n`);
  return EXIT_OK;
}

function namedLink(link: string): NamedLink {
  const { rateBits = Infinity, rttMs } = parseLink(link);
  const nearMicros = rateBits === Infinity ? LOCAL_MICROS : NEAR_MICROS;
  return { link, rateBits, roundTripMicros: rttMs === undefined ? nearMicros : rttMs * 1000 };
}

/** By a dry run: throws what it failed with. */
async function tryLink(client: VmClient, to: Parameters<VmClient['migrate']>[0]): Promise<NamedLink> {
  const summary = await client.migrate({ ...to, dryRun: true }, () => {});
  if (summary.status !== 'dry-run') throw failureOf(summary);
  const { channels = [] } = summary;
  const bulk = channels.filter(({ kind }) => kind === 'bulk');
  const urgent = channels.find(({ kind }) => kind === 'urgent');
  const rateBits = bulk.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0) * BITS_PER_BYTE;
  if (urgent === undefined || rateBits === 0) {
    throw new PostcopyError('BAD_PEER', 'the trial of the link has told no rate: give the link with --link');
  }
  return { link: 'as it was tried', rateBits, roundTripMicros: urgent.roundTripUs };
}

function failureOf({ error }: MigrationSummary): PostcopyError {
  const code = isErrorCode(error?.code) ? error.code : 'MIGRATION_FAILED';
  const why = error?.message ?? 'no reason given';
  return new PostcopyError(code, `the VM could not move there now: ${why}`, undefined, error?.facts ?? []);
}

/** With the defaults of those that are not given. */
function optionsOf(given: ForecastCommandOptions): ForecastOptions {
  const defaults = MIGRATE_OPTIONS.filter((it) => it.default !== undefined).map((it) => [it.name, it.default]);
  return { ...Object.fromEntries(defaults), ...givenMigrateOptions(given) } as ForecastOptions;
}
