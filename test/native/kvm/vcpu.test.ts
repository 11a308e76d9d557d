import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, type NativeVcpu, type NativeVm, type VcpuStateName } from '../../../src/native.js';
import { threadNices } from '../../support/thread-nice.js';
import { PATIENCE_MS, readable } from '../threads.js';
import { beginAt, CODE, createTinyVm, RAX, register, RIP, takeExits } from '../tiny-vm.js';

/** jmp to itself */
const SPIN = [0xeb, 0xfe];
const HLT = 0xf4;
const KIND_PORT = 1;
const KIND_MMIO = 2;
const KIND_STOPPED = 3;
const MSR_IA32_SYSENTER_CS = 0x174;
const MSR_IA32_SYSENTER_ESP = 0x175;
/** In no CPU. */
const MSR_NOWHERE = 0xdead_beef;

function msr(index: number, value: bigint): Uint8Array {
  const entry = new Uint8Array(16);
  new DataView(entry.buffer).setUint32(0, index, true);
  new DataView(entry.buffer).setBigUint64(8, value, true);
  return entry;
}

function park(vcpu: NativeVcpu): void {
  vcpu.requestPause();
  expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
}

describe('the state of a vCPU', () => {
  /** Where to change a byte so that KVM keeps it, and to what. */
  const CHANGES: Record<VcpuStateName, [bytes: number | undefined, at: number, value: number]> = {
    regs: [144, RAX + 2, 0x5a],
    sregs: [312, 232, 0x77], // CR2
    debugregs: [128, 1, 0x12], // DR0
    xcrs: [392, 16, 3], // XCR0: x87 and SSE
    xsave: [undefined, 0, 0x40], // x87 control word
    mpState: [4, 0, 3], // KVM_MP_STATE_HALTED
    vcpuEvents: [64, 8 + 3, 0], // interrupt.shadow
    lapic: [1024, 0x80, 0x20], // TPR
  };
  const NAMES = Object.keys(CHANGES) as VcpuStateName[];

  it.each(NAMES)('%s comes back as it was set', (name) => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    const [bytes, at, value] = CHANGES[name];
    const state = vcpu.getState(name);
    if (bytes !== undefined) expect(state.length).toBe(bytes);
    state[at] = value;
    // XSTATE_BV, behind the legacy area: x87 state is what it says only with bit 0 set (Intel SDM vol. 1, 13.4.2).
    if (name === 'xsave') state[512]! |= 1;
    vcpu.setState(name, state);
    const again = vcpu.getState(name);
    expect(again[at]).toBe(value);
    vcpu.setState(name, again);
    expect(Buffer.compare(vcpu.getState(name), again)).toBe(0);
  });

  it.each(NAMES)('%s of another size is refused', (name) => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    const { length } = vcpu.getState(name);
    for (const bytes of [0, length - 1, length + 1]) {
      expect(() => vcpu.setState(name, new Uint8Array(bytes))).toThrow(RangeError);
    }
  });

  it('that it does not have is refused', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    expect(() => vcpu.getState('fpu' as VcpuStateName)).toThrow(RangeError);
    expect(() => vcpu.setState('' as VcpuStateName, new Uint8Array(1))).toThrow(RangeError);
  });

  it('is refused while it runs', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    const regs = vcpu.getState('regs');
    vcpu.resume();
    const calls = [
      () => vcpu.getState('regs'),
      () => vcpu.setState('regs', regs),
      () => vcpu.getMsrs(Uint32Array.of(MSR_IA32_SYSENTER_CS)),
      () => vcpu.setMsrs(msr(MSR_IA32_SYSENTER_CS, 1n)),
      () => vcpu.setCpuid(native.kvmSupportedCpuid()),
      () => vcpu.setTscKhz(1_000_000),
      () => vcpu.notePaused(),
    ];
    for (const call of calls) expect(call).toThrow('the vCPU runs');
    park(vcpu);
    for (const call of calls.slice(0, 4)) expect(call).not.toThrow();
  });

  it('MSRs are read in order, those that the guest has', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    expect(vcpu.setMsrs(Buffer.concat([msr(MSR_IA32_SYSENTER_ESP, 0x1234n), msr(MSR_IA32_SYSENTER_CS, 8n)]))).toBe(2);
    const read = vcpu.getMsrs(
      Uint32Array.of(MSR_NOWHERE, MSR_IA32_SYSENTER_CS, MSR_NOWHERE, MSR_IA32_SYSENTER_ESP, MSR_NOWHERE),
    );
    expect([...read]).toEqual([...msr(MSR_IA32_SYSENTER_CS, 8n), ...msr(MSR_IA32_SYSENTER_ESP, 0x1234n)]);
    expect(vcpu.getMsrs(new Uint32Array(0))).toHaveLength(0);
  });

  it('MSRs are set up to the first that KVM refuses', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    const entries = [msr(MSR_IA32_SYSENTER_CS, 8n), msr(MSR_NOWHERE, 1n), msr(MSR_IA32_SYSENTER_ESP, 0x1234n)];
    expect(vcpu.setMsrs(Buffer.concat(entries))).toBe(1);
    expect([...vcpu.getMsrs(Uint32Array.of(MSR_IA32_SYSENTER_ESP))]).toEqual([...msr(MSR_IA32_SYSENTER_ESP, 0n)]);
    expect(() => vcpu.setMsrs(new Uint8Array(15))).toThrow(RangeError);
  });

  it('CPUID is of whole entries', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    expect(() => vcpu.setCpuid(new Uint8Array(41))).toThrow(RangeError);
  });

  it('all MSRs that KVM lists can be read', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    expect(vcpu.getMsrs(native.kvmMsrIndices()).length).toBeGreaterThan(16);
    expect(vcpu.getTscKhz()).toBeGreaterThanOrEqual(0);
  });
});

describe('the TSC of a vCPU', () => {
  it('has any frequency only where KVM scales it', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    const own = vcpu.getTscKhz();
    expect(vcpu.setTscKhz(own)).toBe(true);
    expect(vcpu.getTscKhz()).toBe(own);
    const scales = native.kvmProbe().capabilities['tscControl'] === 1;
    expect(vcpu.setTscKhz(Math.round(own / 2))).toBe(scales);
    // It says yes to a higher one all the same (KVM's catch-up), and then that this is what the vCPU has.
    expect(vcpu.setTscKhz(own * 2)).toBe(true);
    expect(vcpu.getTscKhz()).toBe(own * 2);
  });
});

describe('a vCPU', () => {
  it('is parked at first, runs, parks, and runs again', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    expect(vcpu.waitParked(0)).toBe(true);
    for (let round = 0; round < 5; round++) {
      const resumedAt = native.monotonicMicros();
      vcpu.resume();
      expect(vcpu.waitParked(1)).toBe(false);
      park(vcpu);
      expect(register(vcpu, RIP)).toBe(BigInt(CODE));
      expect(vcpu.parkedAt).toBeGreaterThan(resumedAt);
      expect(native.monotonicMicros()).toBeGreaterThanOrEqual(vcpu.parkedAt);
    }
  });

  it('parks when it is asked at once after it was told to run, many times', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    for (let round = 0; round < 300; round++) {
      vcpu.resume();
      park(vcpu);
    }
  });

  it('has a priority of its own, also while it runs', () => {
    const { vcpus } = createTinyVm(SPIN, 2);
    const nices = (name: string) => threadNices(process.pid, name);
    expect(vcpus[1]!.setNice(7)).toBe(true);
    vcpus[0]!.resume();
    expect(vcpus[0]!.setNice(-3)).toBe(true);
    expect([nices('vcpu0'), nices('vcpu1')]).toEqual([[-3], [7]]);
    park(vcpus[0]!);
    for (const nice of [-21, 20, 0.5, NaN]) expect(() => vcpus[0]!.setNice(nice)).toThrow(RangeError);
  });

  it('does not mind what is said twice', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    vcpu.requestPause();
    expect(vcpu.waitParked(0)).toBe(true);
    vcpu.resume();
    vcpu.resume();
    expect(vcpu.waitParked(1)).toBe(false);
    vcpu.requestPause();
    park(vcpu);
  });

  it('parks while it is halted', () => {
    const vcpu = createTinyVm([HLT, HLT, ...SPIN]).vcpus[0]!;
    vcpu.resume();
    expect(vcpu.waitParked(20)).toBe(false);
    park(vcpu);
    expect(register(vcpu, RIP)).toBe(BigInt(CODE + 1));
  });

  it('waits for the answer to what it reads', async () => {
    // in al, 0x81; mov [0x2000], al; out 0x82, ax; jmp $
    const { memory, vcpus, exits } = createTinyVm([0xe4, 0x81, 0xa2, 0x00, 0x20, 0xe7, 0x82, ...SPIN]);
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toEqual([
      { vcpu: 0, kind: KIND_PORT, isWrite: false, size: 1, address: 0x81, data: 0n },
    ]);
    await delay(5);
    expect(exits.take(new Uint8Array(32))).toBe(0);
    // Only as many bytes as it asked for count.
    exits.complete(0, 0xffff_ff5c, 0xffff_ffff);
    expect(await takeExits(exits)).toMatchObject([{ isWrite: true, size: 2, address: 0x82, data: 0x005cn }]);
    const stored = new Uint8Array(2);
    memory.read(0x2000, stored);
    expect([...stored]).toEqual([0x5c, 0]);
  });

  it('goes on after what it writes, which is seen before anything later', async () => {
    // mov al, 'A'; out 0x80, al; inc ax; out 0x80, al; in al, 0x81; jmp $
    const { vcpus, exits } = createTinyVm([0xb0, 0x41, 0xe6, 0x80, 0x40, 0xe6, 0x80, 0xe4, 0x81, ...SPIN]);
    vcpus[0]!.resume();
    await readable(exits.fd);
    expect(await takeExits(exits)).toMatchObject([
      { kind: KIND_PORT, isWrite: true, size: 1, address: 0x80, data: 0x41n },
      { kind: KIND_PORT, isWrite: true, size: 1, address: 0x80, data: 0x42n },
      { kind: KIND_PORT, isWrite: false, size: 1, address: 0x81 },
    ]);
    exits.complete(0, 0, 0);
  });

  it('that only writes has it seen in time, and is not lost sight of', async () => {
    // out 0x80, al; jmp $
    const { vcpus, exits } = createTinyVm([0xe6, 0x80, ...SPIN]);
    for (let round = 0; round < 3; round++) {
      beginAt(vcpus[0]!, CODE);
      vcpus[0]!.resume();
      await readable(exits.postedFd);
      expect(await takeExits(exits)).toMatchObject([{ isWrite: true, address: 0x80 }]);
      park(vcpus[0]!);
    }
  });

  it('waits when nobody takes what it writes, and loses nothing', async () => {
    // inc ax; out 0x80, ax; jmp to the beginning
    const { vcpus, exits } = createTinyVm([0x40, 0xe7, 0x80, 0xeb, 0xfb]);
    vcpus[0]!.resume();
    await delay(50);
    let last = 0n;
    for (let batch = 0; batch < 100; batch++) {
      for (const { data } of await takeExits(exits)) expect(data).toBe(++last);
    }
    expect(last).toBeGreaterThanOrEqual(100n);
    vcpus[0]!.requestPause();
    while (!vcpus[0]!.waitParked(1)) exits.take(new Uint8Array(32 * 64));
  });

  it('hands over an access of several items one by one', async () => {
    // mov si, 0x2000; mov cx, 3; mov dx, 0x80; cld; rep outsb; in al, 0x81; jmp $
    const code = [0xbe, 0x00, 0x20, 0xb9, 0x03, 0x00, 0xba, 0x80, 0x00, 0xfc, 0xf3, 0x6e, 0xe4, 0x81, ...SPIN];
    const { memory, vcpus, exits } = createTinyVm(code);
    memory.write(0x2000, Uint8Array.of(7, 8, 9));
    vcpus[0]!.resume();
    await readable(exits.fd);
    expect((await takeExits(exits)).map(({ data }) => data)).toEqual([7n, 8n, 9n, 0n]);
    exits.complete(0, 0, 0);
  });

  it('hands over accesses to addresses without memory', async () => {
    // mov ax, 0x4000; mov ds, ax; mov ax, [0x10]; mov [0x20], ax; jmp $
    const code = [0xb8, 0x00, 0x40, 0x8e, 0xd8, 0xa1, 0x10, 0x00, 0xa3, 0x20, 0x00, ...SPIN];
    const { vcpus, exits } = createTinyVm(code);
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toMatchObject([{ kind: KIND_MMIO, isWrite: false, size: 2, address: 0x40010 }]);
    exits.complete(0, 0xbeef, 0);
    expect(await takeExits(exits)).toMatchObject([
      { kind: KIND_MMIO, isWrite: true, size: 2, address: 0x40020, data: 0xbeefn },
    ]);
  });

  it('asked to park in the middle of an access parks behind it, with the answer in place', async () => {
    // in al, 0x81; jmp $
    const { vcpus, exits } = createTinyVm([0xe4, 0x81, ...SPIN]);
    const vcpu = vcpus[0]!;
    vcpu.resume();
    await takeExits(exits);
    vcpu.requestPause();
    expect(vcpu.waitParked(20)).toBe(false);
    exits.complete(0, 0x77, 0);
    expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
    expect([register(vcpu, RIP), register(vcpu, RAX) & 0xffn]).toEqual([BigInt(CODE + 2), 0x77n]);
  });

  it('asked to park, and then to go on, goes on, wherever it was on its way to park', async () => {
    // in al, 0x81; jmp to it
    const { vcpus, exits } = createTinyVm([0xe4, 0x81, 0xeb, 0xfc]);
    const vcpu = vcpus[0]!;
    vcpu.resume();
    for (let round = 0; round < 200; round++) {
      await takeExits(exits);
      vcpu.requestPause();
      if (round % 2 === 0) vcpu.resume();
      exits.complete(0, 0, 0);
      vcpu.resume();
    }
    await takeExits(exits);
    vcpu.requestPause();
    exits.complete(0, 0, 0);
    expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
  });

  it('reports that it cannot go on, and parks', async () => {
    // jmp 0x4000:0, where there is no memory to take instructions from
    const { vcpus, exits } = createTinyVm([0xea, 0x00, 0x00, 0x00, 0x40]);
    vcpus[0]!.resume();
    // KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION
    expect(await takeExits(exits)).toMatchObject([{ vcpu: 0, kind: KIND_STOPPED, address: 17, data: 1n }]);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    expect(() => vcpus[0]!.getState('regs')).not.toThrow();
  });

  it('has a mailbox that takes answers to no question, and attaches by handle only', () => {
    const { exits } = createTinyVm(SPIN);
    exits.complete(0, 1, 1);
    exits.complete(4000, 1, 1);
    expect(() => exits.complete(0, 2 ** 32, 0)).toThrow(RangeError);
    expect(() => exits.complete(-1, 0, 0)).toThrow(RangeError);
    const odd = new Uint8Array(new ArrayBuffer(65), 1, 64);
    expect(() => exits.take(odd)).toThrow(RangeError);
    expect(exits.take(new Uint8Array(31))).toBe(0);
    expect(() => new (native.ExitQueue as unknown as new () => unknown)()).toThrow(TypeError);
  });

  it('gives records to as many as there is room for, and keeps the rest', async () => {
    // in al, 0x81; jmp $ on two vCPUs
    const { vcpus, exits } = createTinyVm([0xe4, 0x81, ...SPIN], 2);
    vcpus[1]!.setState('mpState', new Uint8Array(4));
    beginAt(vcpus[1]!, CODE);
    for (const vcpu of vcpus) vcpu.resume();
    const seen: number[] = [];
    const record = new Uint8Array(32);
    while (seen.length < 2) {
      await readable(exits.fd);
      if (exits.take(record) === 1) seen.push(record[0]!);
    }
    expect(seen.sort()).toEqual([0, 1]);
    for (const vcpu of seen) exits.complete(vcpu, 0, 0);
    for (const vcpu of vcpus) park(vcpu);
  });
});

describe('a vCPU that misses a page', () => {
  it('waits for it, and goes on with what it holds', async () => {
    // mov al, [0x5000]; out 0x80, al; jmp $
    const { memory, vcpus, exits } = createTinyVm([0xa0, 0x00, 0x50, 0xe6, 0x80, ...SPIN]);
    const userfaultfd = new native.Userfaultfd(memory);
    onTestFinished(() => userfaultfd.close());
    userfaultfd.register(5, 1, false);
    vcpus[0]!.resume();
    await readable(userfaultfd.fd);
    const faults = new Uint32Array(4);
    expect([userfaultfd.readFaults(faults), faults[0]]).toEqual([1, 5]);
    // Whether it parks before the page has come is the kernel's choice; with the page it does.
    vcpus[0]!.requestPause();
    await delay(5);
    userfaultfd.copy(5, 1, new Uint8Array(4096).fill(0x66), 0);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toMatchObject([{ kind: KIND_PORT, address: 0x80, data: 0x66n }]);
  });
});

describe('close()', () => {
  it('ends a vCPU that runs, once', () => {
    const vcpu = createTinyVm(SPIN).vcpus[0]!;
    vcpu.resume();
    expect(vcpu.close(PATIENCE_MS)).toBe(true);
    expect(vcpu.close(0)).toBe(true);
    for (const call of [
      () => vcpu.resume(),
      () => vcpu.getState('regs'),
      () => vcpu.parkedAt,
      () => vcpu.waitParked(0),
    ]) {
      expect(call).toThrow('used after close()');
    }
  });

  it('does not end a vCPU that waits for an answer, until the VM is closed', async () => {
    const { vm, vcpus, exits } = createTinyVm([0xe4, 0x81, ...SPIN]);
    vcpus[0]!.resume();
    await takeExits(exits);
    expect(vcpus[0]!.close(20)).toBe(false);
    vm.close();
    expect(vcpus[0]!.close(PATIENCE_MS)).toBe(true);
  });

  it('frees the number of the vCPU only with its VM', () => {
    const { vm, vcpus } = createTinyVm(SPIN);
    expect(() => new native.Vcpu(vm, 0)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(vcpus[0]!.waitParked(0)).toBe(true);
  });

  it('is asked for with a number of milliseconds, and a vCPU with a Vm and a number', () => {
    const { vm, vcpus } = createTinyVm(SPIN);
    for (const timeoutMs of [-1, NaN, 60_001, 2 ** 40]) {
      expect(() => vcpus[0]!.close(timeoutMs)).toThrow(RangeError);
      expect(() => vcpus[0]!.waitParked(timeoutMs)).toThrow(RangeError);
    }
    expect(() => new native.Vcpu({} as NativeVm, 0)).toThrow(TypeError);
    for (const index of [-1, NaN, 4096, 0.5]) expect(() => new native.Vcpu(vm, index)).toThrow(RangeError);
  });
});
