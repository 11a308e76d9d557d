/**
 * How the connections of a migration are secured, said alike at both ends: by a key that both have (TLS 1.3 bound to it),
 * by certificates of one authority (mutual TLS), or not at all. Only within a host is "not at all" the default.
 */
import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { z } from 'zod';
import { PostcopyError } from '../errors.js';

/** Letters and digits of a key that is made here: 32 of 32, 160 bits. */
const KEY_LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const KEY_CHARACTERS = 32;
/** Whoever records a handshake can try keys as fast as they can be hashed, so none may be guessable. */
const KEY_CHARACTERS_MIN = 24;
const KEY_CHARACTERS_MAX = 512;
const KEY_RULE = `must be a text of ${KEY_CHARACTERS_MIN} to ${KEY_CHARACTERS_MAX} characters without spaces`;
const PEM_CHARACTERS_MAX = 256 * 1024;

const pem = z.string('must be text').max(PEM_CHARACTERS_MAX, 'is too long for PEM');
const keySchema = z
  .string(KEY_RULE)
  .regex(new RegExp(`^[\\x21-\\x7e]{${KEY_CHARACTERS_MIN},${KEY_CHARACTERS_MAX}}$`), KEY_RULE);

export const securitySchema = z.strictObject({
  plain: z
    .boolean('must be true or false')
    .optional()
    .meta({ description: 'Neither encrypted nor authenticated, although it leaves this host.' }),
  key: keySchema.optional().meta({ description: 'What both ends know: the key that `receive` has printed.' }),
  tls: z
    .strictObject({
      ca: pem.meta({ description: 'Certificates of the authorities that certificates of either end come from.' }),
      cert: pem.meta({ description: 'Certificate of this end, and what leads from it to the authority.' }),
      key: pem.meta({ description: 'Private key of the certificate.' }),
    })
    .optional()
    .meta({
      description: 'Mutual TLS, as PEM texts. The host of the address must be a name in the certificate there.',
    }),
});

/** At most one of them; none is `plain` within this host, and nothing that could be begun with to any other. */
export type GivenSecurity = z.input<typeof securitySchema>;
/** PEM texts. */
export type TlsFiles = NonNullable<GivenSecurity['tls']>;

export type Security = { kind: 'plain' } | { kind: 'key'; key: string } | { kind: 'tls'; files: TlsFiles };

/** A key for one migration. */
export function newMigrationKey(): string {
  return Array.from(randomBytes(KEY_CHARACTERS), (byte) => KEY_LETTERS[byte & 31]).join('');
}

/** Whether what goes there stays within this host. A name other than localhost may mean any. */
export function isLoopback(host: string): boolean {
  if (isIPv6(host)) return /^(0*:)*:?0*1$/.test(host) || /^::ffff:127\./i.test(host);
  return host === 'localhost' || /^127(\.\d+){3}$/.test(host);
}

/** `host`: of the destination, or what it listens on. Throws BAD_CONFIG. */
export function settleSecurity(given: GivenSecurity, host: string): Security {
  const { plain, key, tls } = checkSecurity(given);
  if ([plain === true, key !== undefined, tls !== undefined].filter(Boolean).length > 1) {
    throw new PostcopyError('BAD_CONFIG', 'a migration is plain, or has a key, or certificates: say one of them');
  }
  if (key !== undefined) return { kind: 'key', key };
  if (tls !== undefined) return { kind: 'tls', files: tls };
  if (plain === true || isLoopback(host)) return { kind: 'plain' };
  throw new PostcopyError(
    'BAD_CONFIG',
    `${host} is not within this host, and nothing says how the VM is secured on its way there`,
    undefined,
    [{ kind: 'unsecured' }],
  );
}

function checkSecurity(given: GivenSecurity): GivenSecurity {
  const result = securitySchema.safeParse(given);
  if (result.success) return result.data;
  // What was given is secret, and is not repeated.
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`);
  throw new PostcopyError('BAD_CONFIG', problems.join('; '));
}
