import { once } from 'node:events';
import { expect, it, vi } from 'vitest';
import { PostcopyError } from '../../../../src/errors.js';
import type { ControlConnection } from '../../../../src/migrate/link/control-connection.js';
import { connectControl } from '../../../../src/migrate/link/connect-control.js';
import { SendVm, type SendOptions } from '../../../../src/migrate/source/send-vm.js';
import type { Machine } from '../../../../src/machine/machine.js';

vi.mock('../../../../src/migrate/link/connect-control.js', () => ({ connectControl: vi.fn() }));
vi.mock('../../../../src/migrate/source/page-channels.js', () => ({
  SourcePageChannels: class {
    sum = () => 0;
    close = async () => {};
  },
}));

const tooLate = new PostcopyError('MIGRATION_FAILED', 'the VM was stopped');

function sending(presync: (cancelled: AbortSignal) => Promise<void>, onProgress: () => unknown = () => {}): SendVm {
  const machine = {
    kind: { name: 'threads' },
    memory: { bytes: 1 << 20, dataExtents: () => new Uint32Array(0) },
    hostDevices: { disks: { presync } },
  } as unknown as Machine;
  return new SendVm({
    ...{ machine, hello: { bulkChannels: 1 } as SendOptions['hello'], host: 'there', port: 1 },
    pageWorker: new Promise(() => {}),
    onProgress,
    onCommit: () => {},
    onHeld: () => {},
  });
}

it('closes a connection that comes when the migration is over already', async () => {
  const control = { close: vi.fn(), on: vi.fn() };
  let connected!: (control: ControlConnection) => void;
  vi.mocked(connectControl).mockReturnValueOnce(new Promise((resolve) => (connected = resolve)));
  const send = sending(async () => {});
  const summary = send.run();
  await vi.waitFor(() => expect(connectControl).toHaveBeenCalledTimes(1));
  send.cancel(tooLate);
  await send.outcome;
  connected(control as unknown as ControlConnection);
  expect((await summary).status).toBe('failed');
  expect(control.close).toHaveBeenCalledTimes(1);
  expect(control.on).not.toHaveBeenCalled();
});

it('does not connect when it is over before its disks are written back', async () => {
  vi.mocked(connectControl).mockClear();
  let written!: () => void;
  const send = sending(() => new Promise((resolve) => (written = resolve)));
  const summary = send.run();
  send.cancel(tooLate);
  await send.outcome;
  written();
  expect((await summary).status).toBe('failed');
  expect(connectControl).not.toHaveBeenCalled();
});

it('is cancelled though its disks are never written back', async () => {
  const send = sending(async (cancelled) => {
    await once(cancelled, 'abort');
    cancelled.throwIfAborted();
  });
  const summary = send.run();
  send.cancel(tooLate);
  expect(await summary).toMatchObject({
    status: 'failed',
    machine: 'threads',
    error: { message: 'the VM was stopped' },
  });
});

it.each([
  () => {
    throw new Error("the embedder's bug");
  },
  async () => Promise.reject(new Error("the embedder's bug")),
])('goes on whatever the one throws who is told of its progress', async (onProgress) => {
  const told = vi.fn(onProgress);
  const send = sending(() => new Promise((resolve) => setTimeout(resolve, 350)), told);
  vi.mocked(connectControl).mockRejectedValueOnce(new PostcopyError('UNREACHABLE', 'nobody there'));
  expect(await send.run()).toMatchObject({ status: 'failed', error: { message: 'nobody there' } });
  expect(told.mock.calls.length).toBeGreaterThan(2);
});
