import { expect, it, onTestFinished } from 'vitest';
import { native } from '../../../src/native.js';
import { PATIENCE_MS, readable } from '../threads.js';
import { CODE, createTinyVm, RAX, register, RIP } from '../tiny-vm.js';

const PAGE = 4096;
const MISSING = 8;
/** mov al, [0x8000]; mov ah, 1; jmp $ */
const READS = [0xa0, 0x00, 0x80, 0xb4, 0x01, 0xeb, 0xfe];

it('a vCPU that waits for a page and was told to park leaves KVM when it is let go, and not with zeroes', async () => {
  const { memory, vcpus } = createTinyVm(READS);
  const userfaultfd = new native.Userfaultfd(memory);
  onTestFinished(() => userfaultfd.close());
  userfaultfd.register(MISSING, 1, false);
  const vcpu = vcpus[0]!;
  vcpu.resume();
  await readable(userfaultfd.fd);
  expect([userfaultfd.readFaults(new Uint32Array(4)), memory.bytes / PAGE]).toEqual([1, 16]);
  vcpu.requestPause();
  userfaultfd.unregister(MISSING, 1);
  expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
  // At most the instruction that waited has ended, where KVM emulates it; the one behind it has not run.
  expect(Number(register(vcpu, RIP)) - CODE).toBeLessThanOrEqual(3);
  expect(register(vcpu, RAX) >> 8n).toBe(0n);
});
