import { describe, expect, it, onTestFinished } from 'vitest';
import { native } from '../../../src/native.js';
import { createTinyVm, register, RAX, takeExits } from '../tiny-vm.js';

const REGISTERS = 0xd0000;
const GSI = 5;

function eventFd(): number {
  const fd = native.createEventFd();
  onTestFinished(() => native.closeFd(fd));
  return fd;
}

describe('a virtio-mmio device', () => {
  it('is notified, read and acknowledged without an exit to the device worker', async () => {
    const { vm, vcpus, exits } = createTinyVm([
      ...[0xb8, 0x00, 0xd0, 0x8e, 0xd8], // ds = 0xd000
      ...[0x66, 0xa3, 0x50, 0x00], // QueueNotify
      ...[0x66, 0xa1, 0x60, 0x00], // eax = InterruptStatus
      ...[0x66, 0x83, 0xe0, 0x01], // only the first bit
      ...[0x66, 0xa3, 0x64, 0x00], // InterruptACK
      ...[0xe6, 0x80, 0xf4], // tells, and halts
    ]);
    const notified = eventFd();
    const index = vm.addVirtio(REGISTERS, GSI, notified);
    expect(index).toBe(0);
    vm.raiseVirtio(index, 1);
    vm.raiseVirtio(index, 2);
    expect(vm.getVirtioInterrupts(index)).toBe(3);
    vcpus[0]!.resume();
    const [exit, ...others] = await takeExits(exits);
    expect({ address: exit?.address, others }).toEqual({ address: 0x80, others: [] });
    expect(native.drainEventFd(notified)).toBe(true);
    expect(vm.getVirtioInterrupts(index)).toBe(2);
    vcpus[0]!.requestPause();
    expect(vcpus[0]!.waitParked(1000)).toBe(true);
    expect(register(vcpus[0]!, RAX)).toBe(1n);
  });

  it('leaves narrower accesses, and the other registers, to the device worker', async () => {
    const { vm, vcpus, exits } = createTinyVm([
      ...[0xb8, 0x00, 0xd0, 0x8e, 0xd8],
      ...[0xa2, 0x64, 0x00], // one byte of InterruptACK
      ...[0x66, 0xa3, 0x70, 0x00], // Status
      ...[0xa0, 0x60, 0x00, 0xf4], // one byte of InterruptStatus
    ]);
    vm.addVirtio(REGISTERS, GSI, eventFd());
    vcpus[0]!.resume();
    const seen = (await takeExits(exits)).map(({ address, size, isWrite }) => [address - REGISTERS, size, isWrite]);
    if (seen.length < 3) seen.push(...(await takeExits(exits)).map((e) => [e.address - REGISTERS, e.size, e.isWrite]));
    expect(seen).toEqual([
      [0x64, 1, true],
      [0x70, 4, true],
      [0x60, 1, false],
    ]);
  });

  it('is one of 16 at most, and exists before it is used', () => {
    const { vm } = createTinyVm([0xf4]);
    const fd = eventFd();
    for (let i = 0; i < 16; i++) expect(vm.addVirtio(REGISTERS + i * 0x1000, 16, fd)).toBe(i);
    expect(() => vm.addVirtio(REGISTERS + 16 * 0x1000, 16, fd)).toThrow(RangeError);
    expect(() => vm.raiseVirtio(16, 1)).toThrow(RangeError);
    vm.setVirtioInterrupts(15, 3);
    expect([vm.getVirtioInterrupts(15), vm.getVirtioInterrupts(14)]).toEqual([3, 0]);
  });

  it('names the system call that fails', () => {
    const { vm } = createTinyVm([0xf4]);
    expect(() => vm.addVirtio(REGISTERS, GSI, 1_000_000)).toThrow(
      expect.objectContaining({ syscall: 'KVM_IOEVENTFD', code: 'EBADF' }),
    );
  });
});
