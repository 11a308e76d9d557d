import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../../src/configure/address.js';
import { loadVmConfig } from '../../../src/configure/config-file.js';
import { parseSerialSetting } from '../../../src/configure/serial-setting.js';
import { parseSize } from '../../../src/basics/size.js';
import { checkVmSettings } from '../../../src/configure/vm-config.js';
import { fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError } from './fuzz.js';

const directory = mkdtempSync(join(tmpdir(), 'postcopy-fuzz-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Text in which these pieces come up among others. */
const textOf = (...pieces: string[]): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 3, unit: 'binary' })), { maxLength: 6 })
    .map((parts) => parts.join(''));

const size = textOf('1', '64', '1.5', '9999999999999999', 'G', 'M', 'MiB', 'T', ' ', '-', 'e9', '.');
const address = textOf('[', ']', '::1', ':', '7000', '0', '65536', 'host', '127.0.0.1', '.', '-', 'a'.repeat(64));
const serial = textOf('stdio', 'null', 'file:', 'unix:', '/', '..', '\0', 'x'.repeat(108));

const settings = fc.record(
  {
    name: fc.oneof(textOf('vm', '.', '-'), fc.anything()),
    kernel: fc.oneof(textOf('/boot/vmlinuz', '\0'), fc.anything()),
    initrd: fc.oneof(textOf('initrd'), fc.anything()),
    cmdline: fc.oneof(fc.string(), fc.anything()),
    memory: fc.oneof(size, fc.anything()),
    cpus: fc.oneof(fc.integer(), fc.constantFrom('2', '0x2', NaN), fc.anything()),
    serial: fc.oneof(serial, fc.anything()),
    reboot: fc.oneof(fc.boolean(), fc.anything()),
    __proto__: fc.anything(),
  },
  { requiredKeys: [] },
);

describe('configuration is taken or refused with reasons', () => {
  it(
    'settings',
    () => {
      fuzz(
        fc.property(fc.oneof(settings, fc.anything()), (given) => {
          const config = onlyPostcopyError(() => checkVmSettings(given));
          if (config !== undefined) expect(config.memoryBytes % 0x100000).toBe(0);
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'files',
    () => {
      const file = join(directory, 'vm.json');
      const content = fc.oneof(
        settings.map((given) => JSON.stringify(given, (_, value: unknown) => (typeof value === 'bigint' ? 0 : value))),
        fc.json(),
        fc.string(),
      );
      fuzz(
        fc.property(content, settings, (text, flags) => {
          writeFileSync(file, text);
          onlyPostcopyError(() => loadVmConfig(file, flags));
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'sizes',
    () => {
      fuzz(
        fc.property(size, (text) => {
          const bytes = parseSize(text);
          if (bytes !== undefined) expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true);
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'addresses, which can be written again',
    () => {
      fuzz(
        fc.property(address, fc.constantFrom('listen' as const, 'connect' as const), (text, use) => {
          const parsed = onlyPostcopyError(() => parseAddress(text, use));
          if (parsed !== undefined) expect(parseAddress(formatAddress(parsed), use)).toEqual(parsed);
        }),
      );
    },
    FUZZ_TIMEOUT_MS,
  );

  it(
    'serial ports',
    () => {
      fuzz(fc.property(serial, (text) => void onlyPostcopyError(() => parseSerialSetting(text, '/base'))));
    },
    FUZZ_TIMEOUT_MS,
  );
});
