/** What a guest has written is seen on the host that it has moved to. */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource } from '../support/guest-vms.js';
import { SCALE } from '../support/scale.js';

useCleanRoom();

const PATIENCE_MS = 20_000 * SCALE;

/** Of a console that attaches now. */
async function shown(console: Duplex, until: string): Promise<string> {
  let text = '';
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    while (!text.includes(until)) text += String(((await once(console, 'data', { signal })) as [Buffer])[0]);
    return text;
  } finally {
    console.destroy();
  }
}

test('its output moves along, over two hosts', async () => {
  const source = await startSource({ fillMib: 8 });
  const before = await shown(await source.vm.client.console(), '"filled"');
  const there = await startDestination();
  expect(await source.vm.client.migrate(there.address, () => {})).toMatchObject({ status: 'completed' });
  const after = await shown(await there.vm.client.console(), '"started"');
  expect(after).toContain(before);

  const further = await startDestination();
  expect(await there.vm.client.migrate(further.address, () => {})).toMatchObject({ status: 'completed' });
  expect(await shown(await further.vm.client.console(), '"started"')).toContain(before);
});
