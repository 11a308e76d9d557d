import { describe, expect, it } from 'vitest';
import { PostcopyError } from '../../../src/errors.js';
import type { DeviceDescription } from '../../../src/host/device-description.js';
import { localDevices, type DeviceOverrides } from '../../../src/host/local-devices.js';

const DEVICES: DeviceDescription[] = [
  { kind: 'console' },
  { kind: 'block', id: 'root', path: '/srv/root.img', readonly: false, bytes: 4096 },
  { kind: 'block', id: 'data', path: '/srv/data.img', readonly: true, bytes: 512 },
  { kind: 'net', id: 'net0', mac: '52:54:00:00:00:01', mtu: 9000 },
];
const DISKS = [
  { id: 'data', path: '/dev/vdb' },
  { id: 'root', path: '/dev/vda', unproven: true as const },
];
const NETS = [{ id: 'net0', tap: 'tap3', bridge: 'br0' }];

describe('localDevices', () => {
  it('takes places from this host; order, mode, MAC and MTU from the VM', () => {
    expect(localDevices(DEVICES, { disks: DISKS, nets: NETS })).toEqual({
      disks: [
        { id: 'root', path: '/dev/vda', readonly: false, coming: { bytes: 4096, unproven: true } },
        { id: 'data', path: '/dev/vdb', readonly: true, coming: { bytes: 512, unproven: false } },
      ],
      nets: [{ id: 'net0', mac: '52:54:00:00:00:01', mtu: 9000, tap: 'tap3', bridge: 'br0' }],
    });
  });

  it('lets the kernel name a TAP device', () => {
    const { nets } = localDevices(DEVICES, { disks: DISKS, nets: [{ id: 'net0' }] });
    expect(nets).toEqual([{ id: 'net0', mac: '52:54:00:00:00:01', mtu: 9000 }]);
  });

  it.each([
    [
      { disks: DISKS.slice(1), nets: NETS },
      "nobody said what the VM's disk data (/srv/data.img at the source) is on this host: say it where the VM is waited for",
      [{ kind: 'disk-unplaced', id: 'data' }],
    ],
    [
      { disks: DISKS },
      "nobody said what the VM's interface net0 is on this host: say it where the VM is waited for",
      [{ kind: 'net-unplaced', id: 'net0' }],
    ],
    [{ disks: [{ id: 'rot', path: '/x' }] }, "the VM has no disk 'rot'; it has root, data", []],
  ] as const)('refuses %j', (overrides, message, facts) => {
    const wrong = expect.objectContaining({ code: 'BAD_CONFIG', message, facts });
    expect(() => localDevices(DEVICES, overrides as DeviceOverrides)).toThrow(wrong);
  });

  it('refuses what is said of a device that the VM does not have', () => {
    expect(() => localDevices([], { nets: [{ id: 'net0' }] })).toThrow(
      new PostcopyError('BAD_CONFIG', "the VM has no network interface 'net0'; it has none"),
    );
  });
});
