import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ChannelTask } from '../../../../src/threads/channel-loop.js';
import { BulkReceiver } from '../../../../src/migrate/destination/pages/bulk-receiver.js';
import { FaultHandler } from '../../../../src/migrate/destination/pages/fault-handler.js';
import { PageInstaller } from '../../../../src/migrate/destination/pages/page-installer.js';
import { rehearsePages } from '../../../../src/migrate/workers/rehearse-pages.js';
import { BackgroundPush } from '../../../../src/migrate/source/background-push.js';
import { PageServer } from '../../../../src/migrate/source/page-server.js';
import { native } from '../../../../src/native.js';

const descriptors = () => readdirSync('/proc/self/fd').length;
/** Mappings as only guest RAM is: neither in a core dump (dd) nor in a child (dc). */
const guestMappings = () =>
  readFileSync('/proc/self/smaps', 'latin1').match(/^VmFlags:(?=.* dc\b)(?=.* dd\b).*$/gm)?.length ?? 0;

afterEach(() => {
  vi.restoreAllMocks();
});

describe('rehearsePages', () => {
  it('leaves no descriptor and no memory behind, as often as it is done', () => {
    rehearsePages();
    const before = [descriptors(), guestMappings()];
    for (let i = 0; i < 3; i++) rehearsePages();
    expect([descriptors(), guestMappings()]).toEqual(before);
  });

  it('leaves nothing behind when it fails either', () => {
    const before = [descriptors(), guestMappings()];
    vi.spyOn(native, 'monotonicMicros').mockImplementation(() => {
      // One at either end.
      expect(guestMappings()).toBe(before[1]! + 2);
      throw new Error('in the middle of it');
    });
    expect(() => rehearsePages()).toThrow('in the middle of it');
    expect([descriptors(), guestMappings()]).toEqual(before);
  });

  it.each([1, 2])('leaves nothing behind when there are no sockets to be had, at the %d. pair', (turn) => {
    const before = [descriptors(), guestMappings()];
    const { socketPair } = native;
    let calls = 0;
    vi.spyOn(native, 'socketPair').mockImplementation(() => {
      if (++calls === turn) throw new Error('too many open files');
      return socketPair();
    });
    expect(() => rehearsePages()).toThrow('too many open files');
    expect([descriptors(), guestMappings()]).toEqual(before);
  });

  it('runs what faults and the push run: pages asked for, pushed, and told to be zero', () => {
    const steps = [FaultHandler, PageServer, BackgroundPush, BulkReceiver].map(({ prototype }) => {
      return vi.spyOn(prototype as ChannelTask, 'step');
    });
    const install = vi.spyOn(PageInstaller.prototype, 'install');
    const zero = vi.spyOn(PageInstaller.prototype, 'zero');
    rehearsePages();
    // How often is a matter of time: the rehearsal ends after half a second on the busiest host.
    for (const step of steps) expect(step.mock.calls.length).toBeGreaterThan(0);
    const single = install.mock.calls.filter(([, count]) => count === 1).length;
    expect(single).toBeGreaterThan(0);
    expect(install.mock.calls.length - single).toBeGreaterThan(0);
    expect(zero.mock.calls.length).toBeGreaterThan(0);
  });
});
