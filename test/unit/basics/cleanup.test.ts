import { expect, it } from 'vitest';
import { Cleanup } from '../../../src/basics/cleanup.js';

it('undoes all in reverse order, whatever fails, and says what failed first', async () => {
  const done: string[] = [];
  const cleanup = new Cleanup();
  const step = (name: string, error?: Error) => async () => {
    done.push(name);
    if (error !== undefined) throw error;
  };
  const first = new Error('first');
  cleanup.add(step('a'));
  cleanup.add(step('b', new Error('second')));
  cleanup.add(step('c', first));
  cleanup.add(step('d'));
  await expect(cleanup.run()).rejects.toBe(first);
  expect(done).toEqual(['d', 'c', 'b', 'a']);
  await cleanup.run();
  expect(done).toHaveLength(4);
});

it('undoes nothing that has become somebody else’s', async () => {
  const cleanup = new Cleanup();
  cleanup.add(() => {
    throw new Error('not ours');
  });
  cleanup.forget();
  await cleanup.run();
});
