import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { blockedBy } from '../../../src/host/bridge-port.js';

/** An interface in sysfs, as a port of br0 in this state. */
function makePort(state: string): string {
  const sysfs = mkdtempSync(join(tmpdir(), 'postcopy-sysfs-'));
  onTestFinished(() => rmSync(sysfs, { recursive: true }));
  mkdirSync(join(sysfs, 'tap0', 'brport'), { recursive: true });
  writeFileSync(join(sysfs, 'tap0', 'brport', 'state'), `${state}\n`);
  symlinkSync('../../../br0', join(sysfs, 'tap0', 'brport', 'bridge'));
  return sysfs;
}

it.each([
  ['disabled, as of a bridge that is down', '0', undefined],
  ['listening', '1', 'br0'],
  ['learning', '2', 'br0'],
  ['forwarding', '3', undefined],
  ['blocking', '4', 'br0'],
])('a port that is %s', (_, state, bridge) => {
  expect(blockedBy('tap0', makePort(state))).toBe(bridge);
});

it('an interface in no bridge, or none', () => {
  expect(blockedBy('tap1', makePort('1'))).toBeUndefined();
});
