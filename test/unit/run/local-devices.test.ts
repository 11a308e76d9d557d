import { describe, expect, it } from 'vitest';
import { PostcopyError } from '../../../src/errors.js';
import type { DeviceDescription } from '../../../src/migrate/message.js';
import { localDevices } from '../../../src/run/local-devices.js';

const DEVICES: DeviceDescription[] = [
  { kind: 'console' },
  { kind: 'block', id: 'root', path: '/srv/root.img', readonly: false, bytes: 4096 },
  { kind: 'block', id: 'data', path: '/srv/data.img', readonly: true, bytes: 512 },
  { kind: 'net', id: 'net0', mac: '52:54:00:00:00:01' },
];

describe('localDevices', () => {
  it('takes what the source had where nothing else is said', () => {
    expect(localDevices(DEVICES, { nets: [{ id: 'net0' }] })).toEqual({
      disks: [
        { id: 'root', path: '/srv/root.img', readonly: false },
        { id: 'data', path: '/srv/data.img', readonly: true },
      ],
      nets: [{ id: 'net0', mac: '52:54:00:00:00:01' }],
    });
  });

  it('puts another path, a TAP device and a bridge in their place, and neither mode nor MAC', () => {
    const { disks, nets } = localDevices(DEVICES, {
      disks: [{ id: 'data', path: '/dev/vdb' }],
      nets: [{ id: 'net0', tap: 'tap3', bridge: 'br0' }],
    });
    expect(disks[1]).toEqual({ id: 'data', path: '/dev/vdb', readonly: true });
    expect(nets).toEqual([{ id: 'net0', mac: '52:54:00:00:00:01', tap: 'tap3', bridge: 'br0' }]);
  });

  it('refuses an interface of which nothing is said', () => {
    expect(() => localDevices(DEVICES, {})).toThrow(
      new PostcopyError(
        'BAD_CONFIG',
        "nobody said what the VM's interface net0 is on this host: receive --net id=net0[,tap=NAME][,bridge=NAME]",
      ),
    );
  });

  it('refuses what is said of a device that the VM does not have, and names those it has', () => {
    expect(() => localDevices(DEVICES, { disks: [{ id: 'rot', path: '/x' }] })).toThrow(
      new PostcopyError('BAD_CONFIG', "the VM has no disk 'rot'; it has root, data"),
    );
    expect(() => localDevices([], { nets: [{ id: 'net0' }] })).toThrow(
      new PostcopyError('BAD_CONFIG', "the VM has no network interface 'net0'; it has none"),
    );
  });
});
