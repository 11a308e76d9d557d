import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeviceDescription } from '../../../src/host/device-description.js';
import { HostDevices, requireSameDevices } from '../../../src/host/host-devices.js';
import { HostDisks } from '../../../src/host/host-disks.js';
import { HostNets } from '../../../src/host/host-nets.js';

const root = { id: 'root', path: '/srv/root.img', readonly: false };
const lan = { id: 'lan', mac: '52:54:00:00:00:01' };
const closed: string[] = [];

beforeEach(() => {
  closed.length = 0;
  vi.spyOn(HostDisks, 'open').mockReturnValue({
    open: [{ config: root, disk: { handle: 7 } }],
    describe: () => [{ ...root, bytes: 4096 }],
    status: () => [root],
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
      { kind: 'block', id: 'root', readonly: false, handle: 7 },
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

describe('requireSameDevices', () => {
  const block: DeviceDescription = { kind: 'block', ...root, bytes: 4096 };

  it.each<[string, DeviceDescription[], DeviceDescription[]]>([
    ['its device block is missing in this release', [{ kind: 'rng' }, block], [{ kind: 'rng' }]],
    ['its device rng is balloon in this release', [{ kind: 'rng' }], [{ kind: 'balloon' }]],
    ['it has 1 virtio devices; this release makes 2 of them', [{ kind: 'rng' }], [{ kind: 'rng' }, block]],
    [
      'disk root has 4096 bytes at the source, /dev/vda has 512 here: ' + 'give the one that both hosts share',
      [block],
      [{ ...block, path: '/dev/vda', bytes: 512 }],
    ],
  ])('%s', (message, wanted, here) => {
    expect(() => requireSameDevices(wanted, here)).toThrow(expect.objectContaining({ code: 'REFUSED', message }));
  });

  it('lets a disk be elsewhere', () => {
    requireSameDevices([{ kind: 'rng' }, block], [{ kind: 'rng' }, { ...block, path: '/dev/vda' }]);
  });
});
