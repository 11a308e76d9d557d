/** What the destination asks for is written down, in any order of pages; and a file that takes nothing holds nobody up. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { decodeTrace } from '../../src/migrate/prefetch/trace.js';
import { useCleanRoom } from '../support/clean-room.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';

const room = useCleanRoom();
const PAGES_OF_64M = 16_384;

test('a VM moves by what is asked for, and leaves a trace of it', async () => {
  const [{ vm }, first, second] = await Promise.all([
    startSource({ memory: '64M', fillMib: 32, cpus: 2 }),
    startDestination(),
    startDestination('other'),
  ]);
  const { host, port } = first.address;
  const file = join(room, 'requests.trace');
  const words = ['migrate', 'vm', `${host}:${port}`, '--prefetch', 'auto', '--trace', file, '--json'];
  const { code, stdout, stderr } = await postcopy(words, { runtimeDirectory: vm.runtimeDirectory });
  expect(code, stderr).toBe(0);
  const { pages } = JSON.parse(stdout) as { pages: { demanded: number; sent: number } };
  const trace = decodeTrace(readFileSync(file));
  expect(trace).toMatchObject({ kind: 'requests', pages: PAGES_OF_64M });
  expect(trace.times.length > 0).toBe(pages.demanded > 0);
  const replayed = await postcopy(['replay', file, '--json'], { runtimeDirectory: vm.runtimeDirectory });
  expect(replayed.code, replayed.stderr).toBe(0);

  rmSync(file);

  const again = { ...second.address, prefetch: 'near-faults', trace: '/dev/full' } as const;
  expect(await first.vm.client.migrate(again, () => {})).toMatchObject({ status: 'completed', pages: { resent: 0 } });
  expect(await verifyWhole(await second.vm.guest())).toBeGreaterThan(0);
});
