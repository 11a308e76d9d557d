import { expect, it, vi } from 'vitest';
import { PostcopyError } from '../../../src/errors.js';
import { Incoming, type IncomingOutcome } from '../../../src/migrate/destination/incoming.js';
import type { Machine } from '../../../src/machine/machine.js';
import { receiveVm, type ReceiveOptions } from '../../../src/vm/vm-process.js';
import type { Consoles } from '../../../src/machine/console-lines.js';

vi.mock('../../../src/host/require-host.js', () => ({ requireMachine: () => {}, requireUserfaultfd: () => {} }));
vi.mock('../../../src/migrate/wire/rehearse-codec.js', () => ({ rehearseCodec: () => {} }));
vi.mock('../../../src/migrate/destination/incoming.js', () => ({ Incoming: vi.fn() }));
vi.mock('../../../src/machine/device-link.js', () => ({
  DeviceLink: class {
    close = async () => true;
  },
}));

it('a machine that failed as it was to go on is closed at the end', async () => {
  const machine = { close: vi.fn(async () => true) };
  const reason = new PostcopyError('INTERNAL', 'its clocks cannot be set');
  const outcome = {
    status: 'lost',
    reason,
    machine: machine as unknown as Machine,
    pagesMissing: 3,
  } as IncomingOutcome;
  vi.mocked(Incoming).mockImplementationOnce(function () {
    return { outcome: Promise.resolve(outcome), listen: 'here:1', close: async () => {} } as unknown as Incoming;
  } as never);
  const options = { name: 'vm', host: 'localhost', port: 1, disks: [], nets: [] } as unknown as ReceiveOptions;
  const vm = await receiveVm(options, {} as Consoles);
  await vi.waitFor(() => expect(vm.status().state).toBe('link-lost'));
  await vm.stop({ force: true });
  expect(await vm.ended).toMatchObject({ reason: 'stopped', stuck: false });
  expect(machine.close).toHaveBeenCalledTimes(1);
});
