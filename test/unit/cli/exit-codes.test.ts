import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  EXIT_CODES,
  EXIT_OK,
  exitCodeOfError,
  exitCodeOfMigration,
  exitCodeOfSignal,
} from '../../../src/cli/exit-codes.js';
import { PostcopyError } from '../../../src/errors.js';

it('has one code for each class of error, none of them 0', () => {
  const codes = Object.values(EXIT_CODES);
  expect(new Set(codes).size).toBe(codes.length);
  expect(codes).not.toContain(EXIT_OK);
  expect(EXIT_CODES).toMatchObject({ INTERNAL: 1, BAD_CONFIG: 2, HOST_LACKS: 3, MIGRATION_FAILED: 12, LINK_LOST: 13 });
});

it('documents every code', () => {
  const text = readFileSync(new URL('../../../src/cli/exit-codes.ts', import.meta.url), 'utf8');
  for (const code of Object.values(EXIT_CODES)) expect(text).toMatch(new RegExp(`^ \\* {2,3}${code}  \\w`, 'm'));
});

it('maps what is thrown', () => {
  expect(exitCodeOfError(new PostcopyError('NAME_IN_USE', ''))).toBe(5);
  expect(exitCodeOfError(new Error())).toBe(1);
  expect(exitCodeOfError('text')).toBe(1);
});

it('maps how a migration ended', () => {
  expect(exitCodeOfMigration('completed')).toBe(0);
  expect(exitCodeOfMigration('failed')).toBe(12);
  expect(exitCodeOfMigration('link-lost')).toBe(13);
});

it('maps signals as shells do', () => expect(exitCodeOfSignal(15)).toBe(143));
