/** Makes light schemas (light-schema.ts) from those of zod. Loads zod: for `npm run schema` and its test. */
import { z } from 'zod';
import { migrateOptionsSchema } from '../migrate/options.js';
import { factsSchema, measureSchema, progressSchema, statusSchema, summarySchema } from './answer-schemas.js';
import type { LightOption, LightSchema } from './light-schema.js';

/** What has it is given to flags as a rate (basics/rate.ts). */
const RATE_UNIT = 'bytes per second';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** The text of light-schemas.ts. */
export function lightSchemasText(): string {
  const constants = [
    ['STATUS', 'LightSchema', lighten(z.toJSONSchema(statusSchema))],
    ['FACTS', 'LightSchema', lighten(z.toJSONSchema(factsSchema))],
    ['PROGRESS', 'LightSchema', lighten(z.toJSONSchema(progressSchema))],
    ['MEASURE', 'LightSchema', lighten(z.toJSONSchema(measureSchema))],
    ['SUMMARY', 'LightSchema', lighten(z.toJSONSchema(summarySchema))],
    ['MIGRATE_OPTIONS', 'readonly LightOption[]', lightOptions(z.toJSONSchema(migrateOptionsSchema, { io: 'input' }))],
  ] as const;
  return [
    '/** Made by `npm run schema` from answer-schemas.ts and migrate/options.ts. */',
    "import type { LightOption, LightSchema } from './light-schema.js';",
    ...constants.map(([name, type, value]) => `\nexport const ${name}: ${type} = ${JSON.stringify(value)};`),
    '',
  ].join('\n');
}

/** Throws if a schema says what a light one cannot. */
export function lighten(schema: JsonSchema): LightSchema {
  switch (schema.type) {
    case 'object':
      return { type: 'object', properties: lightProperties(schema), required: schema.required ?? [] };
    case 'array':
      return { type: 'array', items: lighten(schema.items as JsonSchema) };
    case 'integer':
    case 'number':
      return { type: 'number' };
    case 'string':
    case 'boolean':
      return { type: schema.type };
    default:
      throw new Error(`there is no light schema for ${JSON.stringify(schema)}`);
  }
}

function lightProperties({ properties = {} }: JsonSchema): Record<string, LightSchema> {
  return Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, lighten(field as JsonSchema)]));
}

function lightOptions({ properties = {} }: JsonSchema): LightOption[] {
  return Object.entries(properties).map(([name, field]) => lightOption(name, field as JsonSchema));
}

function lightOption(name: string, schema: JsonSchema): LightOption {
  const common = { name, description: String(schema.description), default: schema.default as LightOption['default'] };
  if (schema.enum !== undefined) return { ...common, value: { type: 'choice', choices: schema.enum.map(String) } };
  const { type, minimum, maximum, unit } = schema;
  if (type === 'boolean') return { ...common, value: { type: 'flag' } };
  if (type === 'integer' && minimum !== undefined && maximum !== undefined) {
    const range = { minimum, maximum };
    if (unit === RATE_UNIT) return { ...common, value: { type: 'rate', ...range } };
    return { ...common, value: { type, ...range, unit: String(unit) } };
  }
  throw new Error(`no flag can be made of ${name}: ${JSON.stringify(schema)}`);
}
