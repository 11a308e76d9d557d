import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeviceDescription } from '../../../src/host/device-description.js';
import { HostDevices } from '../../../src/host/host-devices.js';
import { HostDisks } from '../../../src/host/host-disks.js';
import { HostNets } from '../../../src/host/host-nets.js';

const root = { id: 'root', path: '/srv/root.img', readonly: false };
const lan = { id: 'lan', mac: '52:54:00:00:00:01' };
const ERRORS = { shared: new BigInt64Array(3) };
const closed: string[] = [];

beforeEach(() => {
  closed.length = 0;
  vi.spyOn(HostDisks, 'open').mockReturnValue({
    open: [{ config: root, bytes: 4096, disk: { handle: 7 }, errors: ERRORS }],
    describe: () => [{ ...root, bytes: 4096 }],
    status: () => [root],
    objections: async (_: unknown, sameHost: boolean) => (sameHost ? [] : [{ text: 'another disk', facts: [] }]),
    close: () => closed.push('disks'),
  } as unknown as HostDisks);
  vi.spyOn(HostNets, 'open').mockReturnValue({
    open: [{ ...lan, mtu: 1500, tap: { handle: 8 } }],
    describe: () => [{ ...lan, mtu: 1500 }],
    status: () => [{ ...lan, tap: 'tap0' }],
    close: () => closed.push('nets'),
  } as unknown as HostNets);
});

describe('the devices of a VM', () => {
  it('are told of, built and shown by slot, the same order each time', () => {
    const devices = HostDevices.open({ disks: [root], nets: [lan] });
    expect(devices.descriptions()).toEqual([
      { kind: 'console' },
      { kind: 'rng' },
      { kind: 'balloon' },
      { kind: 'block', ...root, bytes: 4096 },
      { kind: 'net', ...lan, mtu: 1500 },
    ]);
    expect(devices.backends({ consoleFd: 5 })).toEqual([
      { kind: 'console', fd: 5 },
      { kind: 'rng' },
      { kind: 'balloon' },
      { kind: 'block', id: 'root', readonly: false, bytes: 4096, handle: 7, errors: ERRORS.shared },
      { kind: 'net', mac: lan.mac, mtu: 1500, handle: 8 },
    ]);
    expect(devices.status()).toEqual({ disks: [root], nets: [{ ...lan, tap: 'tap0' }] });
    devices.close();
    expect(closed).toEqual(['disks', 'nets']);
  });

  it('are open all or none', () => {
    const error = new Error('no such bridge');
    vi.mocked(HostNets.open).mockImplementation(() => {
      throw error;
    });
    expect(() => HostDevices.open({ disks: [root], nets: [lan] })).toThrow(error);
    expect(closed).toEqual(['disks']);
  });

  it('hands on who tells which VM uses a file', async () => {
    const whoUses = async () => 'web';
    HostDevices.open({ disks: [root], nets: [] }, whoUses);
    expect(HostDisks.open).toHaveBeenCalledWith([root], whoUses);
  });
});

describe('against those of a VM that comes', () => {
  const wanted = (): DeviceDescription[] => HostDevices.open({ disks: [root], nets: [lan] }).descriptions();
  const check = (devices: DeviceDescription[], sameHost = true): Promise<void> =>
    HostDevices.open({ disks: [root], nets: [lan] }).requireSame(devices, sameHost, new AbortController().signal);

  it.each<[string, (devices: DeviceDescription[]) => DeviceDescription[], boolean]>([
    ['its device net is missing in this release', (all) => [...all, all.at(-1)!], true],
    ['its device rng is balloon in this release', ([first, rng, _, ...rest]) => [first!, rng!, rng!, ...rest], true],
    ['it has 4 virtio devices; this release makes 5 of them', (all) => all.slice(0, 4), true],
    ['another disk', (all) => all, false],
  ])('%s', async (message, change, sameHost) => {
    await expect(check(change(wanted()), sameHost)).rejects.toMatchObject({ code: 'REFUSED', message });
  });

  it('takes the same', () => check(wanted()));
});
