/** What is there in place of /dev/kvm. */
import { expect, it } from 'vitest';
import { native } from '../../src/native.js';

it.each([
  ['missing', '/dev/no-such-device', 'ENOENT'],
  ['something else', '/dev/null', 'ENOTTY'],
  ['a directory', '/dev', 'EISDIR'],
])('/dev/kvm that is %s is told by its error', (_, path, code) => {
  for (const call of [
    () => native.kvmProbe(path),
    () => native.kvmSupportedCpuid(path),
    () => native.kvmMsrIndices(path),
    () => native.kvmFeatureMsrs(path),
    () => new native.Vm(path),
  ]) {
    expect(call).toThrow(expect.objectContaining({ code, syscall: expect.any(String) as string }));
  }
  if (code === 'ENOENT') expect(() => native.kvmProbe(path)).toThrow(path);
});
