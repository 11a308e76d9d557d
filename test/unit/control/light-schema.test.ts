import { readFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { asProgress, asSummary, asVmStatus } from '../../../src/control/answers.js';
import { problemOf } from '../../../src/control/light-schema.js';
import { lighten, lightSchemasText } from '../../../src/control/lighten.js';
import { PROGRESS, STATUS, SUMMARY } from './fake-vm.js';

const PATH = new URL('../../../src/control/light-schemas.ts', import.meta.url).pathname;

it('light-schemas.ts is current: else run `npm run schema`', async () => {
  const style = await resolveConfig(PATH);
  expect(readFileSync(PATH, 'utf8')).toBe(await format(lightSchemasText(), { ...style, filepath: PATH }));
});

describe('of an answer', () => {
  type Check = (value: unknown) => unknown;
  const full = { ...STATUS, problem: 'x', migration: PROGRESS, disks: [{ id: 'a', path: '/a', readonly: false }] };
  const answers: [string, Check, object][] = [
    ['status', asVmStatus, full],
    ['progress', asProgress, PROGRESS],
    ['summary', asSummary, { ...SUMMARY, error: { code: 'REFUSED', message: 'no room' }, inDoubt: true }],
  ];

  it.each(answers)('a %s passes, and with fields and words of a later release', (_, check, value) => {
    expect(check(value)).toBe(value);
    expect(() => check({ ...value, later: 1, ...('mode' in value ? { mode: 'later' } : {}) })).not.toThrow();
  });

  /** Every value in it, however deep, by its path. */
  function paths(value: object): string[][] {
    return Object.entries(value).flatMap(([key, inner]) => [
      [key],
      ...(typeof inner === 'object' && inner !== null ? paths(inner).map((path) => [key, ...path]) : []),
    ]);
  }

  function changed(value: object, [key = '', ...rest]: string[], to: unknown): object {
    const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
    copy[key] = rest.length === 0 ? to : changed(copy[key] as object, rest, to);
    return copy;
  }

  it.each(answers)('each part of a %s is checked', (_, check, value) => {
    for (const path of paths(value)) {
      for (const wrong of [null, Symbol('what')]) {
        expect(() => check(changed(value, path, wrong)), path.join('.')).toThrow(
          expect.objectContaining({ code: 'BAD_PEER', message: expect.stringContaining(path.at(-1)!) }),
        );
      }
    }
  });

  it('what it must have is missed', () => {
    for (const name of ['downtimeParts', 'pages', 'memory']) {
      expect(() => asSummary({ ...SUMMARY, [name]: undefined })).toThrow(`migration summary without ${name}`);
    }
    expect(() => asSummary({ ...SUMMARY, pages: { ...SUMMARY.pages, zero: undefined } })).toThrow('without zero');
  });
});

describe('of a schema of zod', () => {
  const schema = z.object({ count: z.int().min(3), words: z.array(z.enum(['a', 'b'])), yes: z.boolean().optional() });
  const light = lighten(z.toJSONSchema(schema));

  it.each<[unknown, string | undefined]>([
    [{ count: 1, words: ['c'] }, undefined],
    [{ count: 1, words: [], yes: true, more: {} }, undefined],
    [{ count: '1', words: [] }, 'it.count is no number'],
    [{ count: 1 }, 'it without words'],
    [{ count: 1, words: {} }, 'it.words is no list'],
    [{ count: 1, words: ['a', 2] }, 'it.words.1 is no string'],
    [{ count: 1, words: [], yes: 'yes' }, 'it.yes is no boolean'],
    [[], 'no it'],
    [null, 'no it'],
  ])('takes types and no more: %j', (value, problem) => {
    expect(problemOf(value, light, 'it')).toBe(problem);
  });

  it('says what it cannot say', () => {
    expect(() => lighten(z.toJSONSchema(z.union([z.string(), z.number()])))).toThrow('there is no light schema for');
  });
});
