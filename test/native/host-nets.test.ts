import { readdirSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { NetConfig } from '../../src/configure/net.js';
import type { PostcopyError } from '../../src/errors.js';
import { native } from '../../src/native.js';
import { HostNets } from '../../src/host/host-nets.js';
import { cannotOpen } from '../../src/host/net-errors.js';
import { runCommand } from '../../src/bench/run-command.js';
import { details, freshName, interfaceExists, makeBridge, makePersistentTap } from './host-bridge.js';

const MAC = '52:54:00:00:00:01';
const net = (id: string, place: Partial<NetConfig> = {}): NetConfig => ({ id, mac: MAC, ...place });
const descriptors = () => readdirSync('/proc/self/fd').length;

function openNets(...configs: NetConfig[]): HostNets {
  const nets = HostNets.open(configs);
  onTestFinished(() => nets.close());
  return nets;
}

function failure(...configs: NetConfig[]): PostcopyError {
  const before = descriptors();
  try {
    openNets(...configs);
  } catch (error) {
    expect(descriptors()).toBe(before);
    return error as PostcopyError;
  }
  throw new Error('it opened');
}

describe('HostNets', () => {
  it('opens them all, tells of them, and leaves nothing', () => {
    const before = descriptors();
    const [name, bridge] = [freshName(), makeBridge()];
    const nets = openNets(net('net0', { tap: name, bridge }), net('lan'));
    expect(nets.describe()).toEqual([
      { id: 'net0', mac: MAC, mtu: 1500 },
      { id: 'lan', mac: MAC, mtu: 1500 },
    ]);
    expect(nets.status()).toEqual([
      { id: 'net0', mac: MAC, tap: name },
      { id: 'lan', mac: MAC, tap: expect.stringMatching(/^postcopy\d+$/) as string },
    ]);
    expect(details(name)['master']).toBe(bridge);
    const attached = new native.Tap(null, nets.open[0]!.tap.handle);
    expect(attached.name).toBe(name);
    attached.detach();
    nets.close();
    expect(descriptors()).toBe(before);
  });

  it('says of an interface that its bridge does not pass on yet what it sends', () => {
    const bridge = makeBridge();
    expect(openNets(net('net0', { bridge }), net('lan')).silent()).toEqual([]);
    runCommand('ip', 'link', 'set', bridge, 'type', 'bridge', 'stp_state', '1');
    expect(openNets(net('net1', { bridge })).silent()).toEqual([
      expect.stringContaining(`interface net1 is not heard yet: the bridge ${bridge} has a spanning tree`),
    ]);
  });

  it('takes the MTU of the bridge; a guest that comes keeps its own, and needs as much here', () => {
    const [bridge, name] = [makeBridge(), freshName()];
    runCommand('ip', 'link', 'set', bridge, 'mtu', '9000');
    expect(openNets(net('net0', { bridge })).describe()).toMatchObject([{ mtu: 9000 }]);
    expect(openNets(net('net0', { bridge, mtu: 1500 })).describe()).toMatchObject([{ mtu: 1500 }]);
    expect(openNets(net('net0', { bridge, mtu: 0 })).describe()).toMatchObject([{ mtu: 0 }]);
    expect(failure(net('net0', { bridge, tap: name, mtu: 9001 }))).toMatchObject({
      code: 'HOST_LACKS',
      message: expect.stringContaining(`network interface net0: the guest's frames have up to 9001 bytes`),
    });
    expect(interfaceExists(name)).toBe(false);
  });

  it('says what is wrong with one, and closes the others', () => {
    const [name, other] = [freshName(), freshName()];
    openNets(net('net0', { tap: other }));
    expect(failure(net('net0', { tap: name }), net('net1', { tap: other }))).toMatchObject({
      code: 'BAD_CONFIG',
      message: `network interface net1: the TAP device ${other} is in use by another process: give each VM a TAP device of its own`,
    });
    expect(interfaceExists(name)).toBe(false);
  });

  it('says how to get a bridge', () => {
    const missing = freshName();
    expect(failure(net('net0', { bridge: missing })).message).toContain(
      `there is no bridge ${missing}: make one (ip link add ${missing} type bridge && ip link set ${missing} up)`,
    );
    const tap = makePersistentTap();
    for (const bridge of [tap, 'lo']) {
      expect(failure(net('net0', { bridge })).message).toContain(`the interface ${bridge} is no bridge`);
    }
    runCommand('ip', 'link', 'set', tap, 'master', makeBridge());
    const other = makeBridge();
    expect(failure(net('net0', { tap, bridge: other })).message).toContain(`is in another bridge than ${other}`);
  });

  it('says when an interface is no TAP device', () => {
    expect(failure(net('net0', { tap: 'lo' })).message).toContain('the interface lo of this host is no TAP device');
  });
});

describe('a host that cannot', () => {
  it.each([
    ['open', 'ENOENT', 'no /dev/net/tun: load the module'],
    ['open', 'EACCES', '/dev/net/tun may not be opened: run as root'],
    ['TUNSETIFF', 'EPERM', 'the TAP device tap0 may not be used: run as root, or with CAP_NET_ADMIN'],
    ['SIOCBRADDIF', 'EPERM', 'nothing may be put into the bridge br0'],
    ['SIOCSIFFLAGS', 'EIO', 'the TAP device tap0 cannot be set up'],
  ])('%s: %s is told', (syscall, code, text) => {
    const cause = Object.assign(new Error('cause'), { syscall, code });
    const error = cannotOpen(net('net0', { tap: 'tap0', bridge: 'br0' }), cause);
    expect(error).toMatchObject({ code: 'HOST_LACKS', cause });
    expect(error.message).toContain(text);
  });
});
