/** Page channels are tried before the guest stops. */
import { expect, test } from 'vitest';
import { useCleanRoom } from '../support/clean-room.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { migrate } from '../support/failing-link.js';
import { startDestination, startSource, verifyWhole, work } from '../support/guest-vms.js';
import { complaints } from '../support/postcopy.js';

useCleanRoom();

const EXIT_UNREACHABLE = 8;

test('a network that drops large packets is found out, and told, while the guest runs', async () => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), startDestination()]);
  const proxy = (await CuttingProxy.open(destination.address)).swallow(1400);
  const end = await migrate(source, proxy.address);
  expect(end.code, end.stderr).toBe(EXIT_UNREACHABLE);
  expect(complaints(end)).toEqual([
    expect.stringMatching(
      /the migration failed, vm runs on here: (the urgent channel|bulk channel 0) to .* carries frames of .* large packets/,
    ),
  ]);
  expect(await source.vm.client.status()).toMatchObject({ state: 'running' });
  expect(await verifyWhole(source.guest)).toBeGreaterThan(0);
});

test.each([[[]], [['--channels', '3']]])('what they showed is in the summary: %j', async (words) => {
  const [source, destination] = await Promise.all([startSource({ memory: '64M', fillMib: 4 }), startDestination()]);
  await work(source.guest);
  const end = await migrate(source, destination.address, words);
  expect(end.code, end.stderr).toBe(0);
  const { channels } = JSON.parse(end.stdout) as { channels: { kind: string; mtu: number; roundTripUs: number }[] };
  const bulk = Number(words[1] ?? 1);
  expect(channels.map(({ kind }) => kind).sort()).toEqual([...Array<string>(bulk).fill('bulk'), 'urgent']);
  for (const { mtu, roundTripUs } of channels) expect([mtu > 1000, roundTripUs > 0]).toEqual([true, true]);
  expect(await verifyWhole(await destination.vm.guest())).toBeGreaterThan(0);
});
