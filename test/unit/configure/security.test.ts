import { describe, expect, it } from 'vitest';
import { isLoopback, newMigrationKey, settleSecurity } from '../../../src/configure/security.js';

describe('a key that is made', () => {
  it('can be given back as it is, and is another one each time', () => {
    const keys = Array.from({ length: 50 }, newMigrationKey);
    expect(new Set(keys).size).toBe(50);
    for (const key of keys) {
      expect(key).toMatch(/^[a-z2-7]{32}$/);
      expect(settleSecurity({ key }, '192.0.2.2')).toEqual({ kind: 'key', key });
    }
  });
});

describe('what stays within the host', () => {
  it.each(['localhost', '127.0.0.1', '127.1.2.3', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('%s', (host) => {
    expect(isLoopback(host)).toBe(true);
    expect(settleSecurity({}, host)).toEqual({ kind: 'plain' });
  });
});

describe('what leaves the host', () => {
  it.each(['0.0.0.0', '::', '::2', '::11', '1::1', '128.0.0.1', '127.0.0.1.example', 'localhost.example', 'host'])(
    '%s: not without a word on how it is secured',
    (host) => {
      expect(isLoopback(host)).toBe(false);
      expect(() => settleSecurity({}, host)).toThrow(
        expect.objectContaining({ code: 'BAD_CONFIG', facts: [{ kind: 'unsecured' }] }),
      );
      expect(() => settleSecurity({ plain: false }, host)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
      expect(settleSecurity({ plain: true }, host)).toEqual({ kind: 'plain' });
    },
  );
});

describe('what cannot be meant', () => {
  const key = newMigrationKey();
  const tls = { ca: 'a', cert: 'b', key: 'c' };
  it.each([
    [{ plain: true, key }, 'say one of them'],
    [{ key, tls }, 'say one of them'],
    [{ plain: true, tls }, 'say one of them'],
    [{ key: 'short' }, 'key must be a text of 24 to 512 characters'],
    [{ key: `${key} ${key}` }, 'without spaces'],
    [{ tls: { ...tls, cert: 1 } as never }, 'tls.cert must be text'],
  ])('%j', (given, message) => {
    expect(() => settleSecurity(given, '127.0.0.1')).toThrow(message);
  });

  it('is told without the secret', () => {
    expect(() => settleSecurity({ key: 'my secret' }, 'host')).not.toThrow(/my secret/);
  });
});
