/**
 * Schemas without the schema library, which takes longer to load than all else of a short command: light-schemas.ts has
 * them, made from those of zod (write-schemas.ts). They say of what type everything is that a value must have, and no more:
 * a process of a newer release may answer with fields, and with words in them, that are not known here.
 */

export type LightSchema =
  | { type: 'string' | 'number' | 'boolean' }
  | { type: 'array'; items: LightSchema }
  | { type: 'object'; properties: Record<string, LightSchema>; required: string[] };

/** An option of a command as its schema has it: what a flag is made from. */
export interface LightOption {
  name: string;
  description: string;
  /** None: nothing is said if it is not given. */
  default?: number | string | boolean | undefined;
  value:
    /** Bytes per second. */
    | { type: 'rate'; minimum: number; maximum: number }
    | { type: 'integer'; minimum: number; maximum: number; unit: string }
    | { type: 'choice'; choices: string[] }
    /** True if it is given. */
    | { type: 'flag' };
}

type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first thing in the value, which is called `what`, that is not as its schema has it; undefined if all is. */
export function problemOf(value: unknown, schema: LightSchema, what: string): string | undefined {
  switch (schema.type) {
    case 'object':
      return isFields(value) ? problemOfFields(value, schema, what) : `no ${what}`;
    case 'array':
      return Array.isArray(value)
        ? firstProblem(value.map((item: unknown, i) => [item, schema.items, `${what}.${i}`]))
        : `${what} is no list`;
    default:
      return typeof value === schema.type ? undefined : `${what} is no ${schema.type}`;
  }
}

function problemOfFields(
  fields: Fields,
  { properties, required }: LightSchema & { type: 'object' },
  what: string,
): string | undefined {
  const missing = required.find((name) => fields[name] === undefined);
  if (missing !== undefined) return `${what} without ${missing}`;
  const present = Object.entries(properties).filter(([name]) => fields[name] !== undefined);
  return firstProblem(present.map(([name, schema]) => [fields[name], schema, `${what}.${name}`]));
}

function firstProblem(parts: [value: unknown, schema: LightSchema, what: string][]): string | undefined {
  for (const part of parts) {
    const problem = problemOf(...part);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
