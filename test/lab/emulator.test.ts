import { expect, test } from 'vitest';
import { checkVersion } from '../support/lab/emulator.js';

test('an emulator that is too old is refused, and the version named', () => {
  checkVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright');
  checkVersion('QEMU emulator version 11.1.0');
  const old = 'QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7+deb12u13)';
  expect(() => checkVersion(old)).toThrow(/needs QEMU 10 or newer, not 7\.2\.17/);
  expect(() => checkVersion('no such program')).toThrow(/not "no such program"/);
});
