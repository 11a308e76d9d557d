import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { limitSchema, migrateOptionsSchema } from '../migrate/options.js';
import { isHost, isUnspecified, NO_TARGET, PORT_MAX } from '../configure/address.js';
import { securitySchema } from '../configure/security.js';

const PORT_RULE = `must be a number from 1 to ${PORT_MAX}`;

/** Body of POST /v1/vm/migrate. */
export const migrateRequestSchema = z.strictObject({
  host: z
    .string('must be text')
    .refine(isHost, { error: 'is no host name or IP address' })
    .refine((host) => !isUnspecified(host), { error: `names nobody: ${NO_TARGET}` }),
  port: z.int(PORT_RULE).min(1, PORT_RULE).max(PORT_MAX, PORT_RULE),
  ...securitySchema.shape,
  ...migrateOptionsSchema.shape,
  trace: z
    .string('must be text')
    .refine((file) => isAbsolute(file), { error: 'must be an absolute path' })
    .optional()
    .meta({ description: 'A file of this host that takes what the destination asks for, and when.' }),
});

/** Body of POST /v1/vm/limit. */
export const limitRequestSchema = limitSchema;

const MEASURE_SECONDS_MAX = 30;
const MEASURE_RULE = `must be a whole number of seconds from 1 to ${MEASURE_SECONDS_MAX}`;

/** Body of POST /v1/vm/measure; none is the same as an empty object. */
export const measureRequestSchema = z
  .strictObject({ seconds: z.int(MEASURE_RULE).min(1, MEASURE_RULE).max(MEASURE_SECONDS_MAX, MEASURE_RULE).optional() })
  .nullish();

/** Body of POST /v1/vm/recover; none is the same as an empty object. */
export const recoverRequestSchema = z
  .strictObject({ host: migrateRequestSchema.shape.host, port: migrateRequestSchema.shape.port })
  .or(z.strictObject({}))
  .nullish();

const STOP_TIMEOUT_MS_MAX = 24 * 60 * 60 * 1000;
const STOP_TIMEOUT_RULE = `must be a number of milliseconds from 1 to ${STOP_TIMEOUT_MS_MAX}`;

/** Body of POST /v1/vm/stop; none is the same as an empty object. */
export const stopRequestSchema = z
  .strictObject({
    force: z.boolean('must be true or false').optional(),
    timeoutMs: z
      .int(STOP_TIMEOUT_RULE)
      .min(1, STOP_TIMEOUT_RULE)
      .max(STOP_TIMEOUT_MS_MAX, STOP_TIMEOUT_RULE)
      .optional(),
  })
  .nullish();

/** Body of POST /v1/vm/resume; none is the same as an empty object. */
export const resumeRequestSchema = z.strictObject({ force: z.boolean('must be true or false').optional() }).nullish();

/** Requests that carry nothing: no body, or an empty object. */
export const emptyRequestSchema = z.strictObject({}).nullish();
