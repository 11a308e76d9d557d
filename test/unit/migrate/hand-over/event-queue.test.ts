import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventQueue } from '../../../../src/migrate/hand-over/event-queue.js';

it('finishes one event before it looks at the next', async () => {
  const log: string[] = [];
  const queue = new EventQueue<string>(async (event) => {
    log.push(`${event} begins`);
    await turn();
    log.push(`${event} ends`);
  });
  queue.push('a');
  queue.push('b');
  expect(log).toEqual(['a begins']);
  for (let i = 0; i < 5; i++) await turn();
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
});

it('puts what an action pushes behind what waits by then', async () => {
  const log: string[] = [];
  const queue = new EventQueue<string>(async (event) => {
    log.push(event);
    if (event === 'a') queue.push('from a');
    await turn();
    if (event === 'a') queue.push('late from a');
  });
  queue.push('a');
  queue.push('b');
  for (let i = 0; i < 8; i++) await turn();
  // 'a' runs at once, so what it pushes before its first wait is ahead of 'b'.
  expect(log).toEqual(['a', 'from a', 'b', 'late from a']);
});

it('goes on after it was empty', async () => {
  const log: number[] = [];
  const queue = new EventQueue<number>(async (event) => void log.push(event));
  queue.push(1);
  await turn();
  queue.push(2);
  await turn();
  expect(log).toEqual([1, 2]);
});

it('looks at what is behind an event whose handling has a bug, and hides the bug from nobody', async () => {
  const log: string[] = [];
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection').once('unhandledRejection', (error) => log.push(String(error)));
  const queue = new EventQueue<string>(async (event) => {
    if (event === 'a') throw new Error('a bug');
    log.push(event);
  });
  queue.push('a');
  queue.push('b');
  for (let i = 0; i < 5; i++) await turn();
  for (const listener of others) process.on('unhandledRejection', listener);
  expect(log.sort()).toEqual(['Error: a bug', 'b']);
});
