import { beforeEach, expect, it, vi } from 'vitest';
import type { HostDevices } from '../../../src/host/host-devices.js';
import type { DeviceLink } from '../../../src/machine/device-link.js';
import { Machine } from '../../../src/machine/machine.js';
import { threadMachine } from '../../../src/machine/thread-machine.js';

/** What was done, in order. */
const log = vi.hoisted((): string[] => []);
/** The steps that fail. */
const fails = vi.hoisted(() => ({ vm: false, vcpu: false, virtio: false, state: false }));

vi.mock('../../../src/native.js', async (importOriginal) => {
  const orFail = (step: keyof typeof fails): void => {
    if (fails[step]) throw new Error(`no ${step}`);
  };
  class GuestMemory {
    close = (): void => void log.push('memory closed');
  }
  class Vm {
    constructor() {
      orFail('vm');
    }
    addVirtio = (): void => orFail('virtio');
    close = (): void => void log.push('VM closed');
  }
  class Vcpu {
    constructor(_vm: Vm, index: number) {
      if (index === 1) orFail('vcpu');
    }
    getState = (): Uint8Array => {
      orFail('state');
      return new Uint8Array(1);
    };
    close = (): boolean => Boolean(log.push('vCPU closed'));
  }
  const native = {
    ...{ GuestMemory, Vm, Vcpu, hostTscKhz: () => 0, createEventFd: () => 30 },
    closeFd: (fd: number) => log.push(`${fd} closed`),
  };
  return { ...(await importOriginal<object>()), native };
});

let serves: boolean;
const devices = {
  serve: async () => {
    if (!serves) throw new Error('the device worker has ended');
  },
  close: async () => Boolean(log.push('worker closed')),
} as unknown as DeviceLink;
const hostDevices = { backends: () => [{ kind: 'rng' }] } as unknown as HostDevices;

const create = () => {
  const shape = { memoryBytes: 1 << 20, cpuid: [new Uint8Array(0), new Uint8Array(0)] };
  return Machine.create(threadMachine, shape, { serialFd: 10, consoleFd: 20 }, hostDevices, devices);
};
const cannot = expect.objectContaining({ code: 'HOST_LACKS', message: expect.stringContaining('cannot build') });

beforeEach(() => {
  log.length = 0;
  serves = true;
  for (const step of Object.keys(fails)) fails[step as keyof typeof fails] = false;
});

it('takes back nothing of a machine that is built', async () => {
  expect((await create()).vcpus).toHaveLength(2);
  expect(log).toEqual([]);
});

const LINES = ['20 closed', '10 closed'];

it.each([
  ['vm', ['worker closed', 'memory closed', ...LINES]],
  ['vcpu', ['worker closed', 'vCPU closed', 'VM closed', 'memory closed', ...LINES]],
  ['virtio', ['worker closed', 'vCPU closed', 'vCPU closed', 'VM closed', 'memory closed', '30 closed', ...LINES]],
] as const)('without %s it takes back each step, once, and closes the lines that nobody got', async (step, undone) => {
  fails[step] = true;
  await expect(create()).rejects.toEqual(cannot);
  expect(log).toEqual(undone);
});

it('closes the descriptors of a device worker that never served', async () => {
  serves = false;
  await expect(create()).rejects.toEqual(cannot);
  expect(log.slice(-3)).toEqual(['30 closed', ...LINES]);
});

it('leaves to a device worker that serves what has become its own', async () => {
  fails.state = true;
  await expect(create()).rejects.toEqual(cannot);
  expect(log).toEqual(['worker closed', 'vCPU closed', 'vCPU closed', 'VM closed', 'memory closed']);
});

it('does not run a guest whose device worker has ended since its state was loaded', async () => {
  const machine = await create();
  Object.assign(devices, { failure: new Error('out of luck') });
  const state = { cpu: { machine: 'threads' as const, vcpus: [] }, devices: {} };
  // No vCPU of this machine could run: it would not get as far as this error.
  expect(() => machine.resumeAfter(state, { atMicros: 0, wallClockMs: 0 })).toThrow(
    'the devices of the VM have failed',
  );
  Object.assign(devices, { failure: undefined });
});
