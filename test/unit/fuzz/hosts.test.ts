/** What others of this host hand in: requests of the HTTP API, what is typed at a console, files that say what they are. */
import { PassThrough, type Duplex } from 'node:stream';
import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeFileKind, isInitrd } from '../../../src/boot/file-kind.js';
import { isBzImage } from '../../../src/boot/setup-header.js';
import { isElf } from '../../../src/boot/elf.js';
import { KeyEscape } from '../../../src/console/key-escape.js';
import { asError, asProgress, asSummary, asVmStatus } from '../../../src/control/answers.js';
import { answerUpgrade } from '../../../src/control/console-upgrade.js';
import { readJsonLines } from '../../../src/control/line-reader.js';
import {
  emptyRequestSchema,
  migrateRequestSchema,
  limitRequestSchema,
  recoverRequestSchema,
  resumeRequestSchema,
  stopRequestSchema,
} from '../../../src/control/requests.js';
import { formatOf } from '../../../src/host/disk-format.js';
import { describeProblems } from '../../../src/configure/vm-config.js';
import { FakeVm, PROGRESS, STATUS, SUMMARY } from '../control/fake-vm.js';
import {
  bytesLike,
  cuts,
  fuzz,
  fuzzAsync,
  FUZZ_TIMEOUT_MS,
  onlyPostcopyError,
  pieces,
  requirePostcopyError,
  statesLike,
} from './fuzz.js';

const text = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '');

describe('the control socket', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const requests = [
    { host: '192.0.2.1', port: 7000 },
    { host: 'host', port: 7000, channels: 2, prefetch: 'in-order', plain: true },
    { force: true, timeoutMs: 5 },
    {},
  ];
  const schemas = [
    migrateRequestSchema,
    limitRequestSchema,
    recoverRequestSchema,
    stopRequestSchema,
    resumeRequestSchema,
    emptyRequestSchema,
  ] as const;

  it('takes or refuses any request', () => {
    fuzz(
      fc.property(fc.oneof(...requests.map(statesLike)), fc.constantFrom(...schemas), (body, schema) => {
        const result = schema.safeParse(body);
        if (result.success) return;
        const problems = describeProblems(result.error);
        expect(problems.length).toBeGreaterThan(0);
        for (const problem of problems) expect(problem).not.toBe('');
      }),
    );
  });

  it('joins a console to whoever asks rightly, and refuses all others in words', async () => {
    const url = fc.oneof(
      fc.constantFrom('/v1/vm/console', '/v1/vm/console?port=serial', '/v1/vm/console?port=virtio', '/v1/vm'),
      fc.string({ unit: 'binary', maxLength: 40 }).map((query) => `/v1/vm/console?${query}`),
      fc.string({ maxLength: 40 }),
    );
    const upgrade = fc.oneof(fc.constantFrom('postcopy-console', 'POSTCOPY-CONSOLE', 'websocket'), fc.string());
    const method = fc.constantFrom('GET', 'POST', 'CONNECT');
    await fuzzAsync(
      fc.asyncProperty(method, url, upgrade, fc.uint8Array({ maxLength: 40 }), async (verb, asked, protocol, early) => {
        const stream = new PassThrough();
        const vm = new FakeVm();
        const joined: Duplex[] = [];
        vm.onConsole = (console) => joined.push(console);
        const request = { method: verb, url: asked, headers: { upgrade: protocol } } as unknown as IncomingMessage;
        answerUpgrade(request, stream, Buffer.from(early), () => vm);
        const said = Buffer.from((stream.read() as Uint8Array | null) ?? []).toString('latin1');
        expect(said).toMatch(joined.length === 1 ? /HTTP\/1\.1 101 / : /^HTTP\/1\.1 400 /);
        stream.destroy();
      }),
    );
  });

  it('is believed by a client only what it may say', async () => {
    const lines = [STATUS, PROGRESS, { summary: SUMMARY }, { error: { code: 'BAD_PEER', message: 'no' } }].map((line) =>
      Buffer.concat([text(line), Buffer.from('\n')]),
    );
    await fuzzAsync(
      fc.asyncProperty(bytesLike(lines), cuts, async (stream, lengths) => {
        async function* answer(): AsyncGenerator<Uint8Array> {
          yield* pieces(stream, lengths);
        }
        try {
          for await (const line of readJsonLines(answer())) {
            for (const take of [asError, asProgress, asSummary, asVmStatus]) onlyPostcopyError(() => take(line));
          }
        } catch (error) {
          requirePostcopyError(error);
        }
      }),
    );
  });
});

describe('a terminal', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('finds its escape however the keys come', () => {
    const keys = fc
      .uint8Array({ maxLength: 60 })
      .map((all) => all.map((key) => (key < 80 ? [1, 0x61, 0x78][key % 3]! : key)));
    fuzz(
      fc.property(keys, cuts, (typed, lengths) => {
        const whole = new KeyEscape().take(typed);
        const escape = new KeyEscape();
        const forGuest: Buffer[] = [];
        let quit = false;
        for (const piece of pieces(typed, lengths)) {
          if (quit) break;
          const taken = escape.take(piece);
          forGuest.push(taken.forGuest);
          quit = taken.quit;
        }
        expect([Buffer.concat(forGuest), quit]).toEqual([whole.forGuest, whole.quit]);
        expect(whole.forGuest.length).toBeLessThanOrEqual(typed.length);
      }),
    );
  });
});

describe('a file', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('is of a kind, whatever it begins with', () => {
    const heads = ['QFI\xfb', 'KDMV', 'vhdxfile', '\x7fELF\x02\x01\x01', '070701', '\x1f\x8b', 'MZ', '#!/bin/sh\n'].map(
      (head) => Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(600)]),
    );
    fuzz(
      fc.property(bytesLike(heads, 1), (head) => {
        expect(describeFileKind(head)).not.toBe('');
        const format = formatOf(head);
        expect(format === undefined || format !== '').toBe(true);
        expect([isInitrd(head), isElf(head), isBzImage(head)].every((is) => typeof is === 'boolean')).toBe(true);
      }),
    );
  });
});
