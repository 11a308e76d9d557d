import { z } from 'zod';
import { isHost, PORT_MAX } from '../configure/address.js';

/** Body of POST /v1/vm/migrate. */
export const migrateRequestSchema = z.strictObject({
  host: z.string('must be text').refine(isHost, { error: 'is no host name or IP address' }),
  port: z
    .number(`must be a number from 1 to ${PORT_MAX}`)
    .refine((port) => Number.isInteger(port) && port >= 1 && port <= PORT_MAX, {
      error: `must be a number from 1 to ${PORT_MAX}`,
    }),
});

/** Requests that carry nothing: no body, or an empty object. */
export const emptyRequestSchema = z.strictObject({}).nullish();
