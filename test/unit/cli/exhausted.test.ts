import { expect, it } from 'vitest';
import { namingExhausted } from '../../../src/cli/exhausted.js';
import { PostcopyError } from '../../../src/errors.js';

const system = (code: string, syscall = 'open', message = code) => Object.assign(new Error(message), { code, syscall });

it.each<[string, unknown, RegExp]>([
  ['descriptors', system('EMFILE'), /^this process may open no more files: raise its limit \(ulimit -n/],
  ['inodes', system('ENOSPC'), /no inodes left: see df, and df -i$/],
  ['memory, deep down', new PostcopyError('INTERNAL', 'it failed', system('ENOMEM', 'mmap')), /no more memory/],
  ['threads', system('EAGAIN', 'pthread_create'), /start no more threads/],
  ['processes', system('EAGAIN', 'spawn node'), /start no more threads/],
  [
    'what a worker needs',
    system('ERR_WORKER_INIT_FAILED', '', 'Worker initialization failure: EMFILE'),
    /may open no more files/,
  ],
])('names %s', (_, error, message) => {
  expect(namingExhausted(error)).toMatchObject({ code: 'HOST_LACKS', message: expect.stringMatching(message) });
});

it.each([
  system('EAGAIN', 'read'),
  system('ENOENT'),
  new Error('a bug'),
  'a string',
  new PostcopyError('BAD_CONFIG', 'no such disk', system('ENOSPC')),
])('leaves everything else as it is: %s', (error) => {
  expect(namingExhausted(error)).toBe(error);
});
