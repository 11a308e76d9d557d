import { beforeEach, expect, it, vi } from 'vitest';
import type { NativeVcpu } from '../../../src/native.js';
import type { DeviceLink } from '../../../src/machine/device-link.js';
import type { HostDevices } from '../../../src/host/host-devices.js';
import { kvmMachine } from '../../../src/machine/kvm-machine.js';
import { Machine } from '../../../src/machine/machine.js';

/** What was done, in order. */
const log = vi.hoisted((): string[] => []);

vi.mock('../../../src/native.js', async (importOriginal) => {
  class Vm {
    createIrqchip = (): void => {};
    setRouting = (): void => {};
    setMemory = (): void => {};
    close = (): void => void log.push('vm');
  }
  class Vcpu {
    setCpuid = (): void => {};
    setUpMachineChecks = (): boolean => true;
    getTscKhz = (): number => 0;
    getMsrs = (): Uint8Array => new Uint8Array(0);
    getState = (): Uint8Array => new Uint8Array(1);
    requestPause = (): void => void log.push('told to park');
    close = (): boolean => Boolean(log.push('vCPU'));
  }
  class GuestMemory {
    close = (): void => void log.push('memory');
  }
  class DirtyLog {
    begin = async (): Promise<void> => {};
    end = (): void => void log.push('dirty log');
  }
  const native = {
    Vm,
    Vcpu,
    GuestMemory,
    DirtyLog,
    kvmMsrIndices: () => [],
    closeFd: () => {},
    monotonicMicros: () => 0,
  };
  return { ...(await importOriginal<object>()), native };
});

let devicesEnd: boolean;
let unanswered: object[];
const devices = {
  serve: async () => {},
  close: async () => (log.push('devices'), devicesEnd),
} as unknown as DeviceLink;
const hostDevices = { backends: () => [], disks: { unanswered: () => unanswered } } as unknown as HostDevices;

async function create(): Promise<Machine> {
  const shape = { memoryBytes: 1 << 20, cpuid: [new Uint8Array(0)] };
  const machine = await Machine.create(kvmMachine, shape, { serialFd: 0, consoleFd: 0 }, hostDevices, devices);
  machine.comingPages = { letGo: async () => void log.push('who waits for a page') };
  return machine;
}

beforeEach(() => {
  log.length = 0;
  devicesEnd = true;
  unanswered = [];
});

it('lets go of who waits for pages when no device is there to act on them, and of the VM after that', async () => {
  const machine = await create();
  expect(await machine.close()).toBe(true);
  const [told, ...rest] = log;
  expect(told).toBe('told to park');
  const order = rest.filter((what) => what !== 'told to park');
  expect(order).toEqual(['devices', 'who waits for a page', 'vm', 'vCPU', 'memory']);
});

it('gives nobody zeroes while the device worker may wait for a page', async () => {
  devicesEnd = false;
  const machine = await create();
  expect(await machine.close()).toBe(false);
  expect(log).toEqual(['told to park', 'devices']);
});

it('gives nobody zeroes while a disk has requests of a device worker that is no more', async () => {
  unanswered = [{ id: 'root' }];
  const machine = await create();
  expect(await machine.close()).toBe(false);
  expect(log).toEqual(['told to park', 'devices']);
});

it('does not look at disks when all of RAM is here', async () => {
  unanswered = [{ id: 'root' }];
  const machine = await create();
  machine.comingPages = undefined;
  expect(await machine.close()).toBe(true);
});

it('frees no RAM under a vCPU that does not end', async () => {
  const machine = await create();
  (machine.vcpus[0] as { close: NativeVcpu['close'] }).close = () => false;
  expect(await machine.close()).toBe(false);
  expect(log).not.toContain('memory');
});

it('ends the log of what is written before RAM goes, and begins none behind its end', async () => {
  const machine = await create();
  await machine.beginDirtyLog();
  expect(await machine.close()).toBe(true);
  expect(log.slice(-2)).toEqual(['dirty log', 'memory']);
  await expect(machine.beginDirtyLog()).rejects.toMatchObject({ code: 'WRONG_STATE' });
  expect(log.at(-1)).toBe('dirty log');
});
