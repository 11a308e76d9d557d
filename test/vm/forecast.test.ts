/** `postcopy forecast` of a guest that works, which then moves as if nobody had asked. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { migrate } from '../support/failing-link.js';
import { startDestination, startSource, verifyWhole } from '../support/guest-vms.js';
import { postcopy } from '../support/postcopy.js';

useCleanRoom();

const EXIT_WRONG_STATE = 11;

interface Foretold {
  measured: { dataPages: number; written: { ms: number; pages: number }[] };
  forecasts: { modes: { mode: string; converges?: boolean; wireBytes: number }[]; recommended: { mode: string } }[];
}

test.each(['post-copy', 'pre-copy', 'hybrid'])('a guest is measured, and moves by %s then', async (mode) => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 8 }), startDestination()]);
  const { runtimeDirectory } = source.vm;
  const { host, port } = destination.address;
  const words = ['forecast', 'vm', `${host}:${port}`, '--seconds', '1', '--json'];
  const end = await postcopy(words, { runtimeDirectory });
  expect(end.code, end.stderr).toBe(0);
  const { measured, forecasts } = JSON.parse(end.stdout) as Foretold;
  expect(measured.dataPages).toBeGreaterThan(2048);
  expect(measured.written).toHaveLength(5);
  expect(forecasts[0]!.modes.map((it) => it.mode)).toEqual(['post-copy', 'pre-copy', 'hybrid']);
  // A log that was left open would stand in the way of that of rounds.
  expect((await migrate(source, destination.address, ['--mode', mode])).code).toBe(0);
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});

test('a VM that waits for a guest has nothing to measure', async () => {
  const { vm } = await startDestination();
  const end = await postcopy(['forecast', 'vm'], { runtimeDirectory: vm.runtimeDirectory });
  expect(end.code).toBe(EXIT_WRONG_STATE);
  expect(end.stderr).toMatch(/only a VM that is running can be measured/);
});
