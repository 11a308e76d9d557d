/** Flags for the options of a migration, made from their schema (migrate/options.ts). */
import { InvalidArgumentError, Option } from 'commander';
import { parseRate } from '../basics/rate.js';
import { formatRate } from '../basics/units.js';
import { MIGRATE_OPTIONS } from '../control/light-schemas.js';
import type { LightOption } from '../control/light-schema.js';
import type { GivenMigrateOptions } from '../migrate/options.js';

type Value = Exclude<LightOption['value'], { type: 'flag' }>;

/**
 * Commander is not told the defaults, only those who read the help: what is not given is not sent either, so that a VM's
 * process of an earlier release, which does not know the option, can be asked as well.
 */
export function migrateFlags(): Option[] {
  return MIGRATE_OPTIONS.map(({ name, description, value, default: fallback }) =>
    value.type === 'flag'
      ? new Option(`--${kebab(name)}`, help(description))
      : new Option(
          `--${kebab(name)} <${placeholder(value)}>`,
          `${help(description)}; ${limits(value)}${fallback === undefined ? '' : ` (default ${fallback})`}`,
        ).argParser((text) => parse(text, value)),
  );
}

/** Those of a command's options that are a migration's, checked by their flags. */
export function givenMigrateOptions(options: object): GivenMigrateOptions {
  const names = new Set(MIGRATE_OPTIONS.map(({ name }) => name));
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.has(name)));
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Help begins small and has no full stop. */
function help(description: string): string {
  return `${description.charAt(0).toLowerCase()}${description.slice(1).replace(/\.$/, '')}`;
}

function placeholder(value: Value): string {
  switch (value.type) {
    case 'integer':
      return 'number';
    case 'rate':
      return 'rate';
    case 'choice':
      return 'name';
  }
}

function limits(value: Value): string {
  switch (value.type) {
    case 'integer':
      return `${value.minimum} to ${value.maximum}`;
    case 'rate':
      return 'like 100M (bytes) or 1Gbit (bits)';
    case 'choice':
      return value.choices.join(', ');
  }
}

function parse(text: string, value: Value): number | string {
  if (value.type === 'choice') {
    if (value.choices.includes(text)) return text;
    throw new InvalidArgumentError(`Give one of: ${limits(value)}.`);
  }
  if (value.type === 'rate') return rateWithin(text, value);
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (number >= value.minimum && number <= value.maximum) return number;
  throw new InvalidArgumentError(`Give a whole number of ${value.unit} from ${limits(value)}.`);
}

/** Throws what commander tells of an argument. */
function rateWithin(text: string, { minimum, maximum }: { minimum: number; maximum: number }): number {
  const rate = parseRate(text) ?? NaN;
  if (rate >= minimum && rate <= maximum) return rate;
  throw new InvalidArgumentError(
    `Give bytes per second like 100M, or bits like 1Gbit, from ${formatRate(minimum)} to ${formatRate(maximum)}.`,
  );
}

const BANDWIDTH = MIGRATE_OPTIONS.find(({ name }) => name === 'bandwidth')?.value;

/** A limit as --bandwidth takes it; null for `none`. */
export function parseLimit(text: string): number | null {
  if (text === 'none') return null;
  if (BANDWIDTH?.type !== 'rate') throw new TypeError('--bandwidth is no rate');
  return rateWithin(text, BANDWIDTH);
}
