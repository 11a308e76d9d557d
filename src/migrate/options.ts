/**
 * What may be asked of a migration. Flags of `postcopy migrate`, the body of its HTTP request with its description, and what
 * HELLO tells of it are made from this one schema: `npm run schema` after each change.
 */
import { z } from 'zod';
import { describeProblems } from '../configure/vm-config.js';
import { PostcopyError } from '../errors.js';

/** Orders in which pages that nobody has asked for yet are sent; prefetch/choose.ts has a plan for each. */
export const PREFETCH_POLICIES = ['in-order', 'near-faults', 'streams', 'auto', 'recent'] as const;
export type PrefetchName = (typeof PREFETCH_POLICIES)[number];

/** When pages cross: behind the hand-over, before it, or both. */
export const MIGRATION_MODES = ['post-copy', 'pre-copy', 'hybrid'] as const;
export type MigrationMode = (typeof MIGRATION_MODES)[number];

/** What becomes of a pre-copy that is too slow for its guest. */
const ON_TIMEOUT = ['post-copy', 'stop', 'cancel'] as const;
export type OnTimeout = (typeof ON_TIMEOUT)[number];

const DOWNTIME_MAX_MS = 60_000;
const DOWNTIME_RULE = `must be a whole number of milliseconds from 1 to ${DOWNTIME_MAX_MS}`;
const TIMEOUT_MAX_S = 86_400;
const TIMEOUT_RULE = `must be a whole number of seconds from 1 to ${TIMEOUT_MAX_S}`;

/** The destination waits meanwhile, for PREPARING_TIMEOUT_MS at most. */
const WATCH_MAX_S = 30;
const WATCH_RULE = `must be a whole number of seconds from 1 to ${WATCH_MAX_S}`;

const CHANNELS_MAX = 16;
const CHANNELS_RULE = `must be a whole number of connections from 1 to ${CHANNELS_MAX}`;

const BANDWIDTH_MIN = 64 * 1024;
const BANDWIDTH_MAX = 1024 ** 4;
const BANDWIDTH_RULE = `must be a whole number of bytes per second from ${BANDWIDTH_MIN} to ${BANDWIDTH_MAX}`;
const bandwidthSchema = z.int(BANDWIDTH_RULE).min(BANDWIDTH_MIN, BANDWIDTH_RULE).max(BANDWIDTH_MAX, BANDWIDTH_RULE);

export const migrateOptionsSchema = z.strictObject({
  channels: z
    .int(CHANNELS_RULE)
    .min(1, CHANNELS_RULE)
    .max(CHANNELS_MAX, CHANNELS_RULE)
    .default(1)
    .meta({ description: 'Connections that carry the pages that nobody has asked for yet.', unit: 'connections' }),
  prefetch: z
    .enum(PREFETCH_POLICIES, `must be one of ${PREFETCH_POLICIES.join(', ')}`)
    .default('in-order')
    .meta({ description: 'In which order pages are sent that nobody has asked for yet.' }),
  watch: z
    .int(WATCH_RULE)
    .min(1, WATCH_RULE)
    .max(WATCH_MAX_S, WATCH_RULE)
    .optional()
    .meta({ description: 'How long it is watched where the guest writes, which is then sent first.', unit: 'seconds' }),
  bandwidth: bandwidthSchema.optional().meta({
    description: 'How many bytes are sent per second at most. Pages that the guest waits for are not held back.',
    unit: 'bytes per second',
  }),
  mode: z
    .enum(MIGRATION_MODES, `must be one of ${MIGRATION_MODES.join(', ')}`)
    .default('post-copy')
    .meta({ description: 'When pages cross: behind the hand-over, before it, or before and behind it.' }),
  downtime: z
    .int(DOWNTIME_RULE)
    .min(1, DOWNTIME_RULE)
    .max(DOWNTIME_MAX_MS, DOWNTIME_RULE)
    .default(300)
    .meta({ description: 'How long the guest may stand still in pre-copy.', unit: 'milliseconds' }),
  timeout: z
    .int(TIMEOUT_RULE)
    .min(1, TIMEOUT_RULE)
    .max(TIMEOUT_MAX_S, TIMEOUT_RULE)
    .default(300)
    .meta({ description: 'How long pages may be sent before the hand-over.', unit: 'seconds' }),
  onTimeout: z
    .enum(ON_TIMEOUT, `must be one of ${ON_TIMEOUT.join(', ')}`)
    .default('post-copy')
    .meta({
      description:
        'What comes then in pre-copy: the rest behind the hand-over, the guest stopped until the rest is sent, or no move.',
    }),
  wait: z.boolean('must be true or false').default(false).meta({
    description: 'Waits until all of a VM that is still arriving is here, and moves it then.',
  }),
  dryRun: z.boolean('must be true or false').default(false).meta({
    description:
      'Does all that comes before the guest is stopped, says what was found, and leaves both ends as they were.',
  }),
});

export type MigrateOptions = z.output<typeof migrateOptionsSchema>;
/** Those that are not given have their defaults. */
export type GivenMigrateOptions = z.input<typeof migrateOptionsSchema>;

/** What may be changed of a migration while it runs. */
export const limitSchema = z.strictObject({
  bandwidth: bandwidthSchema.nullable().meta({ description: 'Bytes per second; null lifts the limit.' }),
});

export type Limit = z.output<typeof limitSchema>;

/** Fills in the defaults. Throws BAD_CONFIG, which names every option that cannot be. */
export function checkMigrateOptions(given: GivenMigrateOptions): MigrateOptions {
  return check(migrateOptionsSchema, given);
}

/** Throws BAD_CONFIG if it cannot be. */
export function checkLimit(given: Limit): Limit {
  return check(limitSchema, given);
}

function check<Schema extends z.ZodType>(schema: Schema, given: z.input<Schema>): z.output<Schema> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  throw new PostcopyError('BAD_CONFIG', describeProblems(result.error).join('; '));
}
