import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeMsrs } from '../../../src/machine/msrs.js';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS } from '../../../src/memory/layout.js';
import { native, type NativeMemory, type NativeVm, type VmStateName } from '../../../src/native.js';

const SIZES: Record<VmStateName, number> = { picMaster: 520, picSlave: 520, ioapic: 520, pit: 112, clock: 48 };
const NAMES = Object.keys(SIZES) as VmStateName[];

function create(): NativeVm {
  const vm = new native.Vm();
  onTestFinished(() => vm.close());
  vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
  return vm;
}

describe('/dev/kvm', () => {
  it('is probed', () => {
    const { apiVersion, capabilities } = native.kvmProbe();
    expect(apiVersion).toBe(12);
    for (const name of [
      'irqchip',
      'userMemory',
      'immediateExit',
      'mpState',
      'xsave',
      'xcrs',
      'maxVcpus',
      'nrMemslots',
    ]) {
      expect(capabilities[name], name).toBeGreaterThan(0);
    }
  });

  it('has CPUID of leaf 0 and up, 40 bytes an entry', () => {
    const cpuid = native.kvmSupportedCpuid();
    expect(cpuid.length % 40).toBe(0);
    const view = new DataView(cpuid.buffer, cpuid.byteOffset);
    const leaves = Array.from({ length: cpuid.length / 40 }, (_, i) => view.getUint32(i * 40, true));
    expect(leaves).toEqual(expect.arrayContaining([0, 1, 0x8000_0000]));
  });

  it('tells the MSRs of features with their values, the microcode among them', () => {
    const msrs = decodeMsrs(native.kvmFeatureMsrs());
    expect(msrs.find(({ index }) => index === 0x8b)?.value).toBeGreaterThan(0n);
    const [there, again] = [msrs, decodeMsrs(native.kvmFeatureMsrs())].map((all) => all.map(({ index }) => index));
    expect(new Set(there)).toEqual(new Set(again));
  });

  it('lists the MSRs of a vCPU', () => {
    // IA32_TIME_STAMP_COUNTER, IA32_SYSENTER_CS, IA32_STAR.
    expect([...native.kvmMsrIndices()]).toEqual(expect.arrayContaining([0x10, 0x174, 0xc000_0081]));
  });
});

describe('Vm', () => {
  it.each(NAMES)('gives %s and takes it back', (name) => {
    const vm = create();
    const state = vm.getState(name);
    expect(state.length).toBe(SIZES[name]);
    vm.setState(name, name === 'clock' ? new Uint8Array(48) : state);
  });

  it.each(NAMES)('refuses %s of another size', (name) => {
    const vm = create();
    for (const bytes of [0, SIZES[name] - 1, SIZES[name] + 1]) {
      expect(() => vm.setState(name, new Uint8Array(bytes))).toThrow(RangeError);
    }
  });

  it('keeps the state of each chip apart', () => {
    const vm = create();
    // struct kvm_pic_state behind the header of 8 bytes: last_irr, irr, imr.
    const IMR = 8 + 2;
    for (const [name, mask] of [
      ['picMaster', 0x5a],
      ['picSlave', 0xa5],
    ] as const) {
      const state = vm.getState(name);
      state[IMR] = mask;
      vm.setState(name, state);
    }
    expect([vm.getState('picMaster')[IMR], vm.getState('picSlave')[IMR]]).toEqual([0x5a, 0xa5]);
    // struct kvm_ioapic_state: base, ioregsel, id, irr, pad, then 24 entries of 64 bits. Pin 5: vector 0x31, masked.
    const PIN_5 = 8 + 24 + 5 * 8;
    const ioapic = vm.getState('ioapic');
    ioapic.set([0x31, 0, 1, 0], PIN_5);
    vm.setState('ioapic', ioapic);
    expect([...vm.getState('ioapic').subarray(PIN_5, PIN_5 + 4)]).toEqual([0x31, 0, 1, 0]);
  });

  it('takes a chip for what its name says, whatever its bytes say', () => {
    const vm = create();
    const state = vm.getState('picMaster');
    state[0] = 2;
    vm.setState('picMaster', state);
    expect(vm.getState('picMaster')[0]).toBe(0);
  });

  it('lets the clock go on from where it is set', () => {
    const vm = create();
    const nanoseconds = 5_000_000_000_000n;
    const clock = new Uint8Array(48);
    new DataView(clock.buffer).setBigUint64(0, nanoseconds, true);
    vm.setState('clock', clock);
    const now = vm.getState('clock');
    expect(new DataView(now.buffer, now.byteOffset).getBigUint64(0, true)).toBeGreaterThanOrEqual(nanoseconds);
  });

  it('refuses a state it does not have', () => {
    const vm = create();
    expect(() => vm.getState('lapic' as VmStateName)).toThrow(RangeError);
    expect(() => vm.setState('' as VmStateName, new Uint8Array(8))).toThrow(RangeError);
  });

  it('maps memory within its bounds only', () => {
    const vm = create();
    const memory = new native.GuestMemory(16 * 4096, 'anonymous');
    onTestFinished(() => memory.close());
    vm.setMemory(0, 0, memory, 0, 8 * 4096);
    vm.setMemory(1, 2 ** 32, memory, 8 * 4096, 8 * 4096);
    expect(() => vm.setMemory(2, 2 ** 33, memory, 8 * 4096, 9 * 4096)).toThrow(RangeError);
    expect(() => vm.setMemory(2, 2 ** 33, memory, 17 * 4096, 4096)).toThrow(RangeError);
    expect(() => vm.setMemory(2, 4096, memory, 0, 4096)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(() => vm.setMemory(2, 2 ** 33, {} as NativeMemory, 0, 4096)).toThrow(TypeError);
    expect(() => vm.setMemory(2 ** 20, 2 ** 33, memory, 0, 4096)).toThrow(RangeError);
  });

  it('takes routing of whole entries', () => {
    const vm = create();
    expect(() => vm.setRouting(new Uint8Array(47))).toThrow(RangeError);
    // GSI 4 to pin 4 of the I/O APIC: gsi, type KVM_IRQ_ROUTING_IRQCHIP, flags, pad, irqchip, pin.
    const entry = new Uint8Array(48);
    new DataView(entry.buffer).setUint32(0, 4, true);
    new DataView(entry.buffer).setUint32(4, 1, true);
    new DataView(entry.buffer).setUint32(16, 2, true);
    new DataView(entry.buffer).setUint32(20, 4, true);
    vm.setRouting(entry);
    vm.setIrq(4, true);
    const irr = 8 + 16;
    const ioapic = vm.getState('ioapic');
    expect(new DataView(ioapic.buffer, ioapic.byteOffset).getUint32(irr, true)).toBe(1 << 4);
    vm.setIrq(4, false);
    entry[4] = 99;
    expect(() => vm.setRouting(entry)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('cannot be used after close(), which may be called again', () => {
    const vm = create();
    const { handle, exitQueueHandle } = vm;
    vm.close();
    vm.close();
    expect(() => vm.getState('clock')).toThrow('used after close()');
    expect(() => vm.setIrq(1, true)).toThrow('used after close()');
    expect(() => vm.exitQueueHandle).toThrow('used after close()');
    expect(() => new native.Vcpu(vm, 0)).toThrow('used after close()');
    expect(() => new native.Vm(null, handle)).toThrow('no such handle');
    expect(() => new native.ExitQueue(null, exitQueueHandle)).toThrow('no such handle');
  });

  it('keeps its memory', () => {
    const vm = create();
    const memory = new native.GuestMemory(4096, 'anonymous');
    vm.setMemory(0, 0, memory, 0, 4096);
    memory.close();
    const vcpu = new native.Vcpu(vm, 0);
    expect(vcpu.close(1000)).toBe(true);
  });
});
