import { expect, it } from 'vitest';
import {
  EXIT_OK,
  EXITS,
  exitCodeOf,
  exitCodeOfError,
  exitCodeOfMigration,
  exitCodeOfSignal,
  exitCodesText,
} from '../../../src/cli/exit-codes.js';
import { PostcopyError } from '../../../src/errors.js';

it('has one code for each class of error, none of them 0', () => {
  const codes = Object.values(EXITS).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  expect(codes).not.toContain(EXIT_OK);
  expect((['INTERNAL', 'BAD_CONFIG', 'HOST_LACKS', 'MIGRATION_FAILED', 'LINK_LOST'] as const).map(exitCodeOf)).toEqual([
    1, 2, 3, 12, 13,
  ]);
});

it('tells every code with its meaning, in order', () => {
  const codes = exitCodesText().split(', ');
  expect(codes.map((text) => Number.parseInt(text, 10))).toEqual(codes.map((_, i) => i));
  for (const text of codes) expect(text).toMatch(/^\d+ [a-z].{3,}$/);
  expect(codes).toHaveLength(Object.keys(EXITS).length + 1);
});

it('maps what is thrown', () => {
  expect(exitCodeOfError(new PostcopyError('NAME_IN_USE', ''))).toBe(5);
  expect(exitCodeOfError(new Error())).toBe(1);
  expect(exitCodeOfError('text')).toBe(1);
});

it('maps how a migration ended', () => {
  expect(exitCodeOfMigration({ status: 'completed' })).toBe(0);
  const failed = (code: string) => exitCodeOfMigration({ status: 'failed', error: { code, message: '' } });
  expect(['UNREACHABLE', 'BAD_PEER', 'REFUSED'].map(failed)).toEqual([8, 9, 10]);
  // The other host has nothing to do with these, or would take the VM the next time.
  expect(['MIGRATION_FAILED', 'DISK_IN_USE', 'INTERNAL', 'NEW_CODE'].map(failed)).toEqual([12, 12, 12, 12]);
  expect(exitCodeOfMigration({ status: 'failed' })).toBe(12);
  // Whatever the reason: the VM is there.
  expect(exitCodeOfMigration({ status: 'link-lost', error: { code: 'BAD_PEER', message: '' } })).toBe(13);
});

it('maps signals as shells do', () => expect(exitCodeOfSignal(15)).toBe(143));
