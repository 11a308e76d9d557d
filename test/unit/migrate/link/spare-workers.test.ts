import { expect, test } from 'vitest';
import { SpareWorkers } from '../../../../src/migrate/link/spare-workers.js';
import type { PageWorker } from '../../../../src/threads/page-worker.js';

const BULK = 1; // of which one worker takes care, however few cores there are; with many, the urgent channel has another

/** Workers that only know whether they were ended. */
function rig(outcome: (number: number) => boolean = () => true) {
  const ended: boolean[] = [];
  const spares = new SpareWorkers<object>(BULK, async () => {
    const number = ended.push(false) - 1;
    if (!outcome(number)) throw new Error(`worker ${number} does not start`);
    return { end: async () => void (ended[number] = true) } as PageWorker<object>;
  });
  return { ended, spares };
}

test('are started once, and are whose who takes them', async () => {
  const { ended, spares } = rig();
  spares.prepare();
  const count = ended.length;
  expect(count).toBeGreaterThan(0);
  spares.prepare();
  expect(await spares.take()).toHaveLength(count);
  await spares.end();
  expect(ended).toEqual(Array.from({ length: count }, () => false));
});

test('are started by who takes them, if nobody did before', async () => {
  const { ended, spares } = rig();
  expect(await spares.take()).toHaveLength(ended.length);
});

test('end with the migration, those that are there and those that are to come', async () => {
  const { ended, spares } = rig();
  spares.prepare();
  const taking = spares.take();
  await spares.end();
  await expect(taking).rejects.toMatchObject({ code: 'MIGRATION_FAILED' });
  expect(ended).not.toContain(false);

  const other = rig();
  other.spares.prepare();
  await other.spares.end();
  expect(other.ended).not.toContain(false);
});

test('of which one does not start are none, and can be tried again', async () => {
  const first = { fails: true };
  const { ended, spares } = rig(() => !first.fails);
  spares.prepare();
  await expect(spares.take()).rejects.toThrow('does not start');
  first.fails = false;
  const before = ended.length;
  expect(await spares.take()).toHaveLength(ended.length - before);
});
