import { expect, it } from 'vitest';
import { bootRegisters } from '../../../src/boot/cpu-registers.js';
import { writeGdt } from '../../../src/boot/gdt.js';
import { writePageTables } from '../../../src/boot/page-tables.js';
import { tellLostPage } from '../../../src/machine/machine-check.js';
import { GuestMemory } from '../../../src/memory/guest-memory.js';
import { HIGH_MEMORY_START, KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS } from '../../../src/memory/layout.js';
import { native, type NativeVcpu } from '../../../src/native.js';
import { losePage } from '../lose-page.js';
import { PATIENCE_MS } from '../threads.js';
import { createTinyVm, takeExits, withVcpus, type TinyVm } from '../tiny-vm.js';

const PAGE = 4096;
const KIND_PORT = 1;
const KIND_STOPPED = 3;
const STOPPED_AT_LOST_PAGE = 0xffff_fffd;
const STOPPED_WITHIN_LOST_PAGE = 0xffff_fffc;

const BYTES = 4 << 20;
const LOST = 0x180;
const IDT = 0x3000;
const MACHINE_CHECK = 18;
const HANDLER = HIGH_MEMORY_START + 0x1000;
/** mov al, [abs LOST]; out 0x80, al; hlt */
const READ = [0x8a, 0x04, 0x25, 0x00, 0x00, LOST >> 4, 0x00, 0xe6, 0x80, 0xf4];
/** mov al, 0x5a; out 0x81, al; hlt */
const HANDLE = [0xb0, 0x5a, 0xe6, 0x81, 0xf4];
const CODE64_SELECTOR = 0x10;
const INTERRUPT_GATE = 0x8e;
/** Places in struct kvm_sregs. */
const IDT_AT = 208;
const CR4_AT = 248;
const CR4_MCE = 0x40n;

/** In 64-bit mode, about to read a page that is lost; other vCPUs stand by. */
function createGuest(takesChecks: boolean, cpus = 1): TinyVm {
  const memory = new native.GuestMemory(BYTES, 'anonymous');
  losePage(memory, LOST);
  const vm = new native.Vm();
  vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
  vm.setMemory(0, 0, memory, 0, BYTES);
  const ram = new GuestMemory(memory);
  writeGdt(ram);
  writePageTables(ram);
  ram.write(HIGH_MEMORY_START, Uint8Array.from(READ));
  ram.write(HANDLER, Uint8Array.from(HANDLE));
  const gate = new DataView(new ArrayBuffer(16));
  gate.setUint16(0, HANDLER & 0xffff, true);
  gate.setUint16(2, CODE64_SELECTOR, true);
  gate.setUint8(5, INTERRUPT_GATE);
  gate.setUint16(6, HANDLER >>> 16, true);
  ram.write(IDT + MACHINE_CHECK * 16, new Uint8Array(gate.buffer));
  const tiny = withVcpus(vm, memory, cpus);
  for (const vcpu of tiny.vcpus) {
    vcpu.setCpuid(native.kvmSupportedCpuid());
    expect(vcpu.setUpMachineChecks()).toBe(true);
    begin(vcpu, takesChecks);
  }
  return tiny;
}

function begin(vcpu: NativeVcpu, takesChecks: boolean): void {
  const entry = { protocol: 'linux64', entryAddress: HIGH_MEMORY_START, bootInfoAddress: 0 } as const;
  const { regs, sregs } = bootRegisters(entry, vcpu.getState('sregs'));
  const view = new DataView(sregs.buffer);
  view.setBigUint64(IDT_AT, BigInt(IDT), true);
  view.setUint16(IDT_AT + 8, PAGE - 1, true);
  if (takesChecks) view.setBigUint64(CR4_AT, view.getBigUint64(CR4_AT, true) | CR4_MCE, true);
  vcpu.setState('sregs', sregs);
  vcpu.setState('regs', regs);
  vcpu.setState('mpState', new Uint8Array(4)); // it runs, without waiting for another to start it
}

it('stops a vCPU that comes to it', async () => {
  const { vcpus, exits } = createGuest(false);
  vcpus[0]!.resume();
  const [stop] = await takeExits(exits);
  expect(stop).toMatchObject({ vcpu: 0, kind: KIND_STOPPED, data: BigInt(LOST) });
  // Some hosts have KVM carry out whatever a kernel does that knows nothing of them.
  expect([STOPPED_AT_LOST_PAGE, STOPPED_WITHIN_LOST_PAGE]).toContain(stop!.address);
  expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
});

it('is told by a machine check, to all vCPUs, which go on with it', async () => {
  const { vcpus, exits } = createGuest(true, 2);
  expect(tellLostPage(vcpus, 0, LOST * PAGE, true)).toBe(true);
  // One that handles a check would be reset by another.
  expect(tellLostPage(vcpus, 0, LOST * PAGE, true)).toBe(false);
  for (const vcpu of vcpus) vcpu.resume();
  const told: number[] = [];
  while (told.length < 2) {
    for (const exit of await takeExits(exits)) {
      expect(exit).toMatchObject({ kind: KIND_PORT, isWrite: true, address: 0x81, data: 0x5an });
      told.push(exit.vcpu);
    }
  }
  expect(told.sort()).toEqual([0, 1]);
});

it('is not told to a guest that takes no machine checks', () => {
  const { vcpus } = createGuest(false);
  expect(tellLostPage(vcpus, 0, LOST * PAGE, true)).toBe(false);
  expect(() => vcpus[0]!.machineCheck(new Uint8Array(63))).toThrow(RangeError);
});

it('is no device to an instruction that KVM carries out itself', async () => {
  // In real mode all of them are, on some hosts: mov al, [0x5000]; out 0x80, al; hlt
  const { memory, vcpus, exits } = createTinyVm([0xa0, 0x00, 0x50, 0xe6, 0x80, 0xf4]);
  losePage(memory, 5);
  vcpus[0]!.resume();
  const [stop] = await takeExits(exits);
  expect(stop).toMatchObject({ kind: KIND_STOPPED, data: 5n });
  expect([STOPPED_AT_LOST_PAGE, STOPPED_WITHIN_LOST_PAGE]).toContain(stop!.address);
  expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
});
