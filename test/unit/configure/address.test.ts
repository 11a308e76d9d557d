import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../../src/configure/address.js';

describe('parseAddress', () => {
  it.each([
    ['host2:7000', 'host2', 7000],
    ['a.b-c.example.:1', 'a.b-c.example.', 1],
    ['192.0.2.1:65535', '192.0.2.1', 65535],
    ['[::1]:7000', '::1', 7000],
    ['[2001:db8::2]:80', '2001:db8::2', 80],
    ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
  ])('takes %s', (text, host, port) => expect(parseAddress(text, 'connect')).toEqual({ host, port }));

  it.each([
    ['', 'the port is missing'],
    ['host', 'the port is missing'],
    ['::1', 'needs brackets'],
    ['::1:7000', 'needs brackets'],
    ['[::1]', 'needs brackets'],
    [':7000', 'the host is missing'],
    ['host:', "'' is no port number"],
    ['host:0', "'0' is no port number"],
    ['host:65536', "'65536' is no port number"],
    ['host:-1', "'-1' is no port number"],
    ['host:7e3', "'7e3' is no port number"],
    ['host:000007000', 'is no port number'],
    ['ho st:1', "'ho st' is no host name"],
    ['-host:1', "'-host' is no host name"],
    ['ho_st:1', "'ho_st' is no host name"],
    ['300.1.1.1:1', "'300.1.1.1' is no host name"],
    ['[host]:1', "'host' is no IPv6 address"],
    ['[127.0.0.1]:1', "'127.0.0.1' is no IPv6 address"],
    ['[]:1', "'' is no IPv6 address"],
    [`${'a'.repeat(64)}:1`, 'is no host name'],
    ['http://host:1', 'needs brackets'],
    ['0.0.0.0:7000', 'it means all addresses of the host that listens'],
    ['[::]:7000', 'it means all addresses of the host that listens'],
    ['[0:0::0]:7000', 'it means all addresses of the host that listens'],
    ['[::ffff:0.0.0.0]:7000', 'it means all addresses of the host that listens'],
  ])('refuses %j', (text, why) => {
    expect(() => parseAddress(text, 'connect')).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
    expect(() => parseAddress(text, 'connect')).toThrow(why);
  });

  it('takes port 0 to listen only', () =>
    expect(parseAddress('0.0.0.0:0', 'listen')).toEqual({ host: '0.0.0.0', port: 0 }));

  it.each(['host2:7000', '[::1]:7000'])('writes %s as it was read', (text) =>
    expect(formatAddress(parseAddress(text, 'connect'))).toBe(text),
  );
});
