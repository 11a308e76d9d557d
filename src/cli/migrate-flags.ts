/** Flags for the options of a migration, made from their schema (migrate/options.ts). */
import { InvalidArgumentError, Option } from 'commander';
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
          `${help(description)}; ${limits(value)} (default ${fallback})`,
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
  return value.type === 'integer' ? 'number' : 'name';
}

function limits(value: Value): string {
  return value.type === 'integer' ? `${value.minimum} to ${value.maximum}` : value.choices.join(', ');
}

function parse(text: string, value: Value): number | string {
  if (value.type === 'choice') {
    if (value.choices.includes(text)) return text;
    throw new InvalidArgumentError(`Give one of: ${limits(value)}.`);
  }
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (number >= value.minimum && number <= value.maximum) return number;
  throw new InvalidArgumentError(`Give a whole number of ${value.unit} from ${limits(value)}.`);
}
