import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CAPABILITIES, capabilitiesIn, KEPT, KEPT_FOR_SET_UP, numbersOf } from '../../../src/confine/capabilities.js';
import { processRights, rightsIn } from '../../../src/confine/process-rights.js';

function thread(rights: { caps?: string; privileges?: number; seccomp?: number; blocked?: string }): string {
  const { caps = '0', privileges = 1, seccomp = 2, blocked = '0' } = rights;
  return `Name:\tnode\nSigBlk:\t${blocked.padStart(16, '0')}\nCapInh:\t0000000000000000\nCapPrm:\t${caps.padStart(16, '0')}\nNoNewPrivs:\t${privileges}\nSeccomp:\t${seccomp}\nSeccomp_filters:\t1\n`;
}

describe('rights of a process', () => {
  it('has what all threads forgo, and what one of them has', () => {
    expect(rightsIn([thread({ caps: '800000' }), thread({ caps: '2' })])).toEqual({
      noNewPrivileges: true,
      callFilter: true,
      capabilities: ['dac_override', 'sys_nice'],
    });
  });

  it.each([
    ['privileges', { noNewPrivileges: false, callFilter: true }, { privileges: 0 }],
    ['calls', { noNewPrivileges: true, callFilter: false }, { seccomp: 0 }],
    ['calls, in strict mode', { noNewPrivileges: true, callFilter: false }, { seccomp: 1 }],
  ])('one thread that does not forgo its %s is enough', (_what, expected, one) => {
    expect(rightsIn([thread({}), thread(one)])).toEqual({ ...expected, capabilities: [] });
  });

  it('passes over a thread of the kernel', () => {
    const ofKernel = thread({ caps: '1ffffffffff', blocked: 'fffffffffffbfeff' });
    const ofNode = thread({ blocked: 'fffffffe7ffbfeff' });
    expect(rightsIn([ofKernel, ofNode]).capabilities).toEqual([]);
  });

  it('says so of an old kernel, which tells nothing', () => {
    expect(rightsIn(['Name:\tnode\n'])).toEqual({ noNewPrivileges: false, callFilter: false, capabilities: [] });
  });

  it('is that of this process', () => {
    const permitted = /^CapPrm:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;
    expect(processRights().capabilities).toEqual(capabilitiesIn(BigInt(`0x${permitted}`)));
  });
});

describe('capabilities', () => {
  it('have their numbers of <linux/capability.h>', () => {
    expect([...numbersOf(['chown', 'dac_override', 'net_admin', 'sys_nice', 'checkpoint_restore'])]).toEqual([
      0, 1, 12, 23, 40,
    ]);
    const header = readFileSync('/usr/include/linux/capability.h', 'utf8');
    const defined = [...header.matchAll(/^#define CAP_([A-Z_]+)\s+(\d+)$/gm)];
    expect(defined.length).toBeGreaterThan(30);
    for (const [, name, number] of defined) expect(CAPABILITIES[Number(number)]).toBe(name!.toLowerCase());
  });

  it('that nobody knows yet go by number', () => {
    expect(capabilitiesIn((1n << 63n) | 1n)).toEqual(['chown', '63']);
    expect(capabilitiesIn(0n)).toEqual([]);
  });

  it('that are kept do not reach the rest of the host', () => {
    const kept = [...KEPT, ...KEPT_FOR_SET_UP];
    for (const name of ['sys_admin', 'sys_module', 'sys_rawio', 'setuid', 'setgid', 'kill', 'mknod', 'bpf'] as const) {
      expect(kept).not.toContain(name);
    }
    expect(KEPT).not.toContain('net_admin');
  });
});
