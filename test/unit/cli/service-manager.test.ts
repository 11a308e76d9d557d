import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { loadNative } from '../../../src/cli/load-native.js';
import { openServiceManager } from '../../../src/cli/service-manager.js';
import type { VmStatus } from '../../../src/vm/service.js';
import { EventStream } from '../../../src/watch/stream.js';

vi.mock('../../../src/cli/load-native.js');

const told: string[] = [];
const native = {
  connectDatagrams: vi.fn((_address: string) => 7),
  writeFd: vi.fn((_fd: number, bytes: Uint8Array) => told.push(...Buffer.from(bytes).toString().split('\n'))),
  closeFd: vi.fn(),
};
const status = { name: 'web', state: 'running' } as VmStatus;
const vm = { events: new EventStream('web'), status: () => status };

beforeEach(() => {
  told.length = 0;
  vi.useFakeTimers();
  vi.mocked(loadNative).mockResolvedValue(native as never);
});
afterEach(() => void vi.useRealTimers());

it('says that the VM is there, what it does, and that it is over', async () => {
  const over = (await openServiceManager('/run/systemd/notify')).follow(vm);
  expect(native.connectDatagrams).toHaveBeenCalledWith('/run/systemd/notify');
  vi.advanceTimersByTime(60_000); // a VM that runs asks for no time
  Object.assign(status, { state: 'handed-over', peer: 'there:7000' });
  vm.events.publish({ type: 'state', state: 'handed-over' });
  vi.advanceTimersByTime(5000);
  over();
  vm.events.publish({ type: 'state', state: 'handed-over' });
  expect(told).toEqual([
    ...['READY=1', 'STATUS=web is running'],
    'STATUS=web is handed-over (there:7000)',
    ...['STATUS=web is handed-over (there:7000)', 'EXTEND_TIMEOUT_USEC=30000000'],
    'STOPPING=1',
  ]);
  expect(native.closeFd).toHaveBeenCalledWith(7);
});

it('is nobody where there is none, or none that listens', async () => {
  native.connectDatagrams.mockImplementationOnce(() => {
    throw new Error('ECONNREFUSED');
  });
  for (const address of [undefined, '', '/gone']) (await openServiceManager(address)).follow(vm)();
  expect(told).toEqual([]);
});
