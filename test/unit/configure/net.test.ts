import { describe, expect, it } from 'vitest';
import { parseNetPlace, parseNetPlaces, parseNetSetting } from '../../../src/configure/net.js';
import { checkVmSettings } from '../../../src/configure/vm-config.js';

const netsOf = (...nets: unknown[]) => checkVmSettings({ name: 'vm1', kernel: 'k', nets }).nets;

function problems(...nets: unknown[]): string[] {
  try {
    netsOf(...nets);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_CONFIG' });
    return (error as Error).message.split('\n');
  }
  throw new Error('nothing was thrown');
}

describe('a network setting', () => {
  it('is fields with commas between', () => {
    expect(parseNetSetting('tap=tap0')).toEqual({ tap: 'tap0' });
    expect(parseNetSetting('id=lan,mac=52:54:00:AB:cd:01,bridge=br-0,tap=vm.1')).toEqual({
      tap: 'vm.1',
      bridge: 'br-0',
      mac: '52:54:00:ab:cd:01',
      id: 'lan',
    });
  });

  it.each([
    ['', 'give tap=NAME'],
    ['tap0', 'give tap=NAME'],
    ['tap=a,', 'give tap=NAME'],
    ['tap=a,speed=1', 'give tap=NAME'],
    ['tap=', 'tap: use 1 to 15 letters'],
    ['tap=a,tap=b', 'tap is given twice'],
    ['tap=sixteen-bytes-xx', 'tap: use 1 to 15 letters'],
    ['tap=tap%d', 'tap: use 1 to 15 letters'],
    ['tap=..', 'tap: use 1 to 15 letters'],
    ['bridge=a/b', 'bridge: use 1 to 15 letters'],
    ['mac=52:54:00:12:34', 'mac: is no MAC address'],
    ['mac=52:54:00:12:34:5g', 'mac: is no MAC address'],
    ['mac=525400123456', 'mac: is no MAC address'],
    ['mac=53:54:00:12:34:56', 'mac: is the address of no single interface'],
    ['mac=ff:ff:ff:ff:ff:ff', 'mac: is the address of no single interface'],
    ['mac=00:00:00:00:00:00', 'mac: is the address of no single interface'],
    ['id=a b', 'id: use 1 to 20 letters'],
  ])('%j is none', (text, why) => {
    expect(() => parseNetSetting(text)).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
    expect(() => parseNetSetting(text)).toThrow(`'${text}' is no network setting: ${why}`);
  });
});

describe('the interfaces of a VM', () => {
  it('are none by default', () => expect(checkVmSettings({ name: 'vm1', kernel: 'k' }).nets).toEqual([]));

  it('are text or objects, and get names and addresses', () => {
    const nets = netsOf('tap=a', { bridge: 'br0' }, { id: 'x', mac: '02:00:00:00:00:01' });
    const random = expect.stringMatching(/^52:54:00(:[0-9a-f]{2}){3}$/) as string;
    expect(nets).toEqual([
      { id: 'net0', mac: random, tap: 'a' },
      { id: 'net1', mac: random, bridge: 'br0' },
      { id: 'x', mac: '02:00:00:00:00:01' },
    ]);
    expect(nets[0]!.mac).not.toBe(nets[1]!.mac);
  });

  it.each<[unknown[], string[]]>([
    [[{}, {}, {}, {}], ['nets: a VM has at most 3 network interfaces']],
    [['tap=a', 'tap=a'], ["nets.1.tap: 'a' is another interface's"]],
    [[{ id: 'net1' }, {}], ["nets.1.id: 'net1' is another interface's"]],
    [
      ['mac=02:00:00:00:00:0A', { mac: '02:00:00:00:00:0a' }],
      ["nets.1.mac: '02:00:00:00:00:0a' is another interface's"],
    ],
    [['tap'], ["nets.0: 'tap' is no network setting: give tap=NAME[,bridge=NAME][,mac=MAC][,id=ID]"]],
    [
      [{ tap: 5, mac: 'x' }],
      ['nets.0.tap: must be text', 'nets.0.mac: is no MAC address: give one like 52:54:00:12:34:56'],
    ],
    [[{ taps: 'a' }], ['nets.0.taps: there is no such setting']],
  ])('%j are refused', (nets, lines) => expect(problems(...nets)).toEqual(lines));
});

describe('what an interface gets on the destination', () => {
  it('is said by its id', () => {
    expect(parseNetPlaces(['id=net0,tap=a', 'id=net1,bridge=b', 'id=net2'])).toEqual([
      { id: 'net0', tap: 'a' },
      { id: 'net1', bridge: 'b' },
      { id: 'net2' },
    ]);
  });

  it('needs an id, and no MAC address', () => {
    expect(() => parseNetPlace('tap=a')).toThrow('say which interface of the VM it is');
    expect(() => parseNetPlace('id=a,mac=02:00:00:00:00:01')).toThrow('the MAC address comes with the VM');
  });

  it('is said once', () => {
    expect(() => parseNetPlaces(['id=a,tap=x', 'id=a'])).toThrow('interface a has a place already');
    expect(() => parseNetPlaces(['id=a,tap=x', 'id=b,tap=x'])).toThrow("the TAP device x is another interface's");
  });
});
