import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { native, type NativeVcpu, type VcpuStateName } from '../../src/native.js';
import { ThreadXsave, type Component } from './thread-xsave.js';
import { AT, at, BYTES, CODE, createThreadVm, registerOf, setRegisters, type RegisterName } from './thread-vm.js';
import { PATIENCE_MS, readable, runNode } from './threads.js';
import { losePage } from './lose-page.js';
import { takeExits, type TinyVm } from './tiny-vm.js';

/** jmp to itself */
const SPIN = [0xeb, 0xfe];
/** inc rax; jmp back */
const COUNT = [0x48, 0xff, 0xc0, 0xeb, 0xfb];
const UD2 = [0x0f, 0x0b];
const KIND_PORT = 1;
const KIND_STOPPED = 3;
const EXCEPTION = 0xffff_fffe;
const PAGE = 4096;

function park(vcpu: NativeVcpu): void {
  vcpu.requestPause();
  expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
}

/** Of a vCPU that counts in RAX: parked, and parked again when it has counted. */
async function ran(vcpu: NativeVcpu): Promise<void> {
  park(vcpu);
  const before = registerOf(vcpu, 'rax');
  do {
    vcpu.resume();
    await delay(1);
    park(vcpu);
  } while (registerOf(vcpu, 'rax') === before);
}

describe('RAM of a machine of threads', () => {
  it('is there once in a process, and goes when it is closed', () => {
    for (let round = 0; round < 3; round++) {
      const memory = new native.GuestMemory(BYTES, 'threads');
      expect(() => new native.GuestMemory(BYTES, 'threads')).toThrow(
        expect.objectContaining({ code: 'EEXIST', message: expect.stringContaining('one address where a guest of') }),
      );
      memory.write(5, Uint8Array.of(42));
      const read = new Uint8Array(1);
      memory.read(5, read);
      expect(read[0]).toBe(42);
      memory.close();
    }
  });

  it('stays for as long as its VM, whatever is closed first', () => {
    const memory = new native.GuestMemory(BYTES, 'threads');
    const vm = new native.Vm('threads', memory);
    const vcpu = new native.Vcpu(vm, 0);
    memory.write(CODE, Uint8Array.from(SPIN));
    setRegisters(vcpu, { rip: at(CODE) });
    memory.close();
    vm.close();
    vcpu.resume();
    expect(vcpu.waitParked(5)).toBe(false);
    park(vcpu);
    expect(registerOf(vcpu, 'rip')).toBe(at(CODE));
    expect(() => new native.GuestMemory(BYTES, 'threads')).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(vcpu.close(PATIENCE_MS)).toBe(true);
    new native.GuestMemory(BYTES, 'threads').close();
  });
});

describe('ports', () => {
  it.each<[string, number[], number, number]>([
    ['out dx, al', [0xee], 1, 0x1234],
    ['out dx, ax', [0x66, 0xef], 2, 0x1234],
    ['out dx, eax', [0xef], 4, 0x1234],
    ['out 0x81, al', [0xe6, 0x81], 1, 0x81],
    ['out 0x81, ax', [0x66, 0xe7, 0x81], 2, 0x81],
    ['out 0x81, eax', [0xe7, 0x81], 4, 0x81],
  ])('%s reaches the exit queue, and the vCPU goes on', async (_, code, size, address) => {
    const { vcpus, exits } = createThreadVm([...code, ...COUNT]);
    setRegisters(vcpus[0]!, { rax: 0x1122_3344_5566_7788n, rdx: 0xffff_0000_abcd_1234n });
    vcpus[0]!.resume();
    const data = 0x5566_7788n & ((1n << BigInt(8 * size)) - 1n);
    expect(await takeExits(exits)).toEqual([{ vcpu: 0, kind: KIND_PORT, isWrite: true, size, address, data }]);
    await ran(vcpus[0]!);
    expect(registerOf(vcpus[0]!, 'rdx')).toBe(0xffff_0000_abcd_1234n);
  });

  it.each<[string, number[], number, number, bigint]>([
    ['in al, dx', [0xec], 1, 0x1234, 0x1122_3344_5566_77ddn],
    ['in ax, dx', [0x66, 0xed], 2, 0x1234, 0x1122_3344_5566_ccddn],
    ['in eax, dx', [0xed], 4, 0x1234, 0xaabb_ccddn],
    ['in al, 0x81', [0xe4, 0x81], 1, 0x81, 0x1122_3344_5566_77ddn],
    ['in ax, 0x81', [0x66, 0xe5, 0x81], 2, 0x81, 0x1122_3344_5566_ccddn],
    ['in eax, 0x81', [0xe5, 0x81], 4, 0x81, 0xaabb_ccddn],
  ])('%s waits for its answer', async (_, code, size, address, rax) => {
    const { vcpus, exits } = createThreadVm([...code, ...SPIN]);
    setRegisters(vcpus[0]!, { rax: 0x1122_3344_5566_7788n, rdx: 0x1234n });
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toEqual([{ vcpu: 0, kind: KIND_PORT, isWrite: false, size, address, data: 0n }]);
    expect(vcpus[0]!.waitParked(5)).toBe(false);
    exits.complete(0, 0xaabb_ccdd, 0xffff_ffff);
    park(vcpus[0]!);
    expect(registerOf(vcpus[0]!, 'rax')).toBe(rax);
    expect(registerOf(vcpus[0]!, 'rip')).toBe(at(CODE + code.length));
  });

  it('an access is whole before the vCPU parks', async () => {
    const { vcpus, exits } = createThreadVm([0xe4, 0x81, ...SPIN]);
    vcpus[0]!.resume();
    await takeExits(exits);
    vcpus[0]!.requestPause();
    expect(vcpus[0]!.waitParked(20)).toBe(false);
    exits.complete(0, 0x5c, 0);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    expect([registerOf(vcpus[0]!, 'rax'), registerOf(vcpus[0]!, 'rip')]).toEqual([0x5cn, at(CODE + 2)]);
  });

  it('an instruction may lie across two pages, and at the very end of RAM', async () => {
    const { memory, vcpus, exits } = createThreadVm(SPIN);
    memory.write(2 * PAGE - 1, Uint8Array.of(0xe6, 0x82, ...SPIN));
    setRegisters(vcpus[0]!, { rip: at(2 * PAGE - 1), rax: 7n });
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toMatchObject([{ address: 0x82, data: 7n }]);
    park(vcpus[0]!);
    memory.write(BYTES - 1, Uint8Array.of(0xee));
    setRegisters(vcpus[0]!, { rip: at(BYTES - 1), rdx: 0x83n });
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toMatchObject([
      { kind: KIND_PORT, address: 0x83, data: 7n },
      { kind: KIND_STOPPED, address: EXCEPTION, data: 14n },
    ]);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    expect(registerOf(vcpus[0]!, 'rip')).toBe(at(BYTES));
  });

  it('the idle port gives the core away, and a vCPU parks at once meanwhile', async () => {
    // mov eax, 10000; out 0x80, al; out 0xed, eax; jmp back to the first out
    const { vcpus, exits } = createThreadVm([0xb8, 0x10, 0x27, 0, 0, 0xe6, 0x80, 0xe7, 0xed, 0xeb, 0xfa]);
    const waits: number[] = [];
    for (let round = 0; round < 20; round++) {
      vcpus[0]!.resume();
      // Behind what it wrote in the last round's end, if any.
      await takeExits(exits);
      const asked = native.monotonicMicros();
      park(vcpus[0]!);
      waits.push(vcpus[0]!.parkedAt - asked);
      exits.take(new Uint8Array(32 * 16));
    }
    // Each would be about 9 ms if idling went on; a busy host may delay most of them, but not all.
    expect(Math.min(...waits)).toBeLessThan(3000);
    const used = cpuTicks('vcpu0');
    vcpus[0]!.resume();
    await delay(300);
    park(vcpus[0]!);
    expect(cpuTicks('vcpu0') - used).toBeLessThan(15); // of 30: it would take them all
  });
});

/** User and system time of a thread of this process, in hundredths of a second (proc(5), fields 14 and 15). */
function cpuTicks(name: string): number {
  for (const tid of readdirSync('/proc/self/task')) {
    if (readFileSync(`/proc/self/task/${tid}/comm`, 'utf8').trim() !== name) continue;
    const fields = readFileSync(`/proc/self/task/${tid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  }
  throw new Error(`there is no thread ${name}`);
}

describe('a vCPU', () => {
  it('is parked at first, runs, is parked by a kick in an endless loop, and runs again', async () => {
    const vcpu = createThreadVm(COUNT).vcpus[0]!;
    const others: [RegisterName, bigint][] = [
      ['rbx', 0x1111_2222_3333_4444n],
      ['rcx', 0xffff_ffff_ffff_ffffn],
      ['r15', 0x8000_0000_0000_0001n],
      ['rsp', 0x7fn], // a guest's stack is its own business
    ];
    setRegisters(vcpu, Object.fromEntries(others));
    expect(vcpu.waitParked(0)).toBe(true);
    for (let round = 0; round < 5; round++) {
      const resumedAt = native.monotonicMicros();
      await ran(vcpu);
      expect([at(CODE), at(CODE + 3)]).toContain(registerOf(vcpu, 'rip'));
      for (const [name, value] of others) expect(registerOf(vcpu, name), name).toBe(value);
      expect(vcpu.parkedAt).toBeGreaterThan(resumedAt);
    }
  });

  it('parks when it is asked at once after it was told to run, many times', () => {
    const vcpu = createThreadVm(COUNT).vcpus[0]!;
    for (let round = 0; round < 1000; round++) {
      vcpu.resume();
      park(vcpu);
    }
  });

  it('loses no instruction to any number of kicks', () => {
    // inc rax; inc rbx; jmp back
    const vcpu = createThreadVm([0x48, 0xff, 0xc0, 0x48, 0xff, 0xc3, 0xeb, 0xf8]).vcpus[0]!;
    for (let round = 0; round < 500; round++) {
      vcpu.resume();
      vcpu.waitParked(0);
      park(vcpu);
      const between = registerOf(vcpu, 'rip') === at(CODE + 3) ? 1n : 0n;
      expect(registerOf(vcpu, 'rax') - registerOf(vcpu, 'rbx')).toBe(between);
    }
  });

  it.each<[string, number[], Partial<Record<RegisterName, bigint>>, number]>([
    ['ud2', UD2, {}, 6],
    ['a read of what is not mapped', [0x8a, 0x00], { rax: 0x1000n }, 14],
    ['a write behind RAM', [0x88, 0x00], { rax: at(BYTES) }, 14],
    ['a read of a non-canonical address', [0x8a, 0x00], { rax: 1n << 63n }, 13],
    ['hlt', [0xf4], {}, 13],
    ['cli', [0xfa], {}, 13],
    ['outsb, which is not done here', [0x6e], { rsi: at(0) }, 13],
    ['a division by zero', [0xf7, 0xf1], { rcx: 0n }, 0],
    ['int3', [0xcc], {}, 3],
    ['a jump to what is not mapped', [0xff, 0xe0], { rax: 0x1000n }, 14],
    ['a jump to a non-canonical address', [0xff, 0xe0], { rax: 1n << 63n }, 13],
  ])('stops at %s, and its vector is told', async (_, code, registers, vector) => {
    const { vcpus, exits } = createThreadVm([...code, ...SPIN], 2);
    setRegisters(vcpus[1]!, registers);
    vcpus[1]!.resume();
    expect(await takeExits(exits)).toEqual([
      { vcpu: 1, kind: KIND_STOPPED, isWrite: false, size: 0, address: EXCEPTION, data: BigInt(vector) },
    ]);
    expect(vcpus[1]!.waitParked(PATIENCE_MS)).toBe(true);
    for (const [name, value] of Object.entries(registers)) {
      expect(registerOf(vcpus[1]!, name as RegisterName), name).toBe(value);
    }
    // It does not go on by itself, and nothing of it is lost: with another instruction there it does.
    setRegisters(vcpus[1]!, { rip: at(CODE + code.length) });
    vcpus[1]!.resume();
    expect(vcpus[1]!.waitParked(5)).toBe(false);
    park(vcpus[1]!);
    expect(registerOf(vcpus[1]!, 'rip')).toBe(at(CODE + code.length));
  });

  it.each([
    ['ud2', UD2],
    ['hlt', [0xf4]],
    ['a division by zero', [0xf7, 0xf1]],
  ])('is at the instruction when it stops at %s', async (_, code) => {
    const { vcpus, exits } = createThreadVm(code);
    vcpus[0]!.resume();
    await takeExits(exits);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    expect(registerOf(vcpus[0]!, 'rip')).toBe(at(CODE));
  });

  it('is one of 64 at once, which all run and are parked at any instruction', async () => {
    // inc rax; lock inc [rdi]; jmp back
    const { memory, vcpus } = createThreadVm([0x48, 0xff, 0xc0, 0xf0, 0x48, 0xff, 0x07, 0xeb, 0xf7], 64);
    const counter = 0x3000;
    for (const vcpu of vcpus) setRegisters(vcpu, { rdi: at(counter) });
    const idle = () => vcpus.some((vcpu) => registerOf(vcpu, 'rax') === 0n);
    do {
      for (const vcpu of vcpus) vcpu.resume();
      await delay(20);
      for (const vcpu of vcpus) vcpu.requestPause();
      for (const vcpu of vcpus) expect(vcpu.waitParked(PATIENCE_MS)).toBe(true);
      const bytes = new Uint8Array(8);
      memory.read(counter, bytes);
      // One that stands behind its first instruction has not counted this turn yet.
      const counted = vcpus.map(
        (vcpu) => registerOf(vcpu, 'rax') - (registerOf(vcpu, 'rip') === at(CODE + 3) ? 1n : 0n),
      );
      expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(counted.reduce((sum, n) => sum + n, 0n));
    } while (idle());
  });

  it('runs in two processes at one time, at the same address', async () => {
    const { vcpus, exits } = createThreadVm([0xe6, 0x80, ...SPIN]);
    setRegisters(vcpus[0]!, { rax: 1n });
    vcpus[0]!.resume();
    const { code, stdout, stderr } = await runNode(`
      ${machine('0xe6, 0x80')}
      vcpu.resume();
      ${EXITS}
      native.poll(Int32Array.of(exits.fd, 1, 0, exits.postedFd, 1, 0), 2, 5000);
      const records = new Uint8Array(32);
      exits.take(records);
      ${CLOSE}
      console.log(records[24]);
    `);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '2\n', stderr: '' });
    expect(await takeExits(exits)).toMatchObject([{ data: 1n }]);
  });
});

describe('a page that is missing', () => {
  function withMissingPage(
    page: number,
    code: number[],
  ): TinyVm & { userfaultfd: InstanceType<typeof native.Userfaultfd> } {
    const machine = createThreadVm(code);
    const userfaultfd = new native.Userfaultfd(machine.memory);
    onTestFinished(() => userfaultfd.close());
    userfaultfd.register(page, 1, false);
    return { ...machine, userfaultfd };
  }

  async function nextFaults({ userfaultfd }: ReturnType<typeof withMissingPage>): Promise<number[]> {
    await readable(userfaultfd.fd);
    const faults = new Uint32Array(16);
    return [...faults.subarray(0, userfaultfd.readFaults(faults))];
  }

  const CONTENT = new Uint8Array(PAGE).fill(0x90); // nop, wherever it is run
  CONTENT.set([0xe6, 0x80, ...SPIN], PAGE - 4);

  it.each<[string, number[], Partial<Record<RegisterName, bigint>>, bigint]>([
    // mov al, [rdi]; out 0x80, al
    ['reads', [0x8a, 0x07, 0xe6, 0x80, ...SPIN], { rdi: at(5 * PAGE + 3) }, 0x90n],
    // add [rdi], al; mov al, [rdi]; out 0x80, al
    ['writes', [0x00, 0x07, 0x8a, 0x07, 0xe6, 0x80, ...SPIN], { rdi: at(5 * PAGE + 3), rax: 2n }, 0x92n],
    // push rax; mov al, [rsp-8]...: its stack
    ['has as its stack', [0x50, 0x58, 0xe6, 0x80, ...SPIN], { rsp: at(6 * PAGE), rax: 0x33n }, 0x33n],
    ['runs', SPIN, { rip: at(5 * PAGE), rax: 0x44n }, 0x44n],
  ])(
    'that a vCPU %s does not keep it from parking at once, and it goes on when it comes',
    async (_, code, at0, data) => {
      const machine = withMissingPage(5, code);
      const vcpu = machine.vcpus[0]!;
      setRegisters(vcpu, at0);
      const rip = registerOf(vcpu, 'rip');
      for (let round = 0; round < 5; round++) {
        vcpu.resume();
        expect(await nextFaults(machine)).toEqual([5]);
        park(vcpu);
        expect(registerOf(vcpu, 'rip')).toBe(rip);
        for (const [name, value] of Object.entries(at0)) expect(registerOf(vcpu, name as RegisterName)).toBe(value);
      }
      vcpu.resume();
      expect(await nextFaults(machine)).toEqual([5]);
      expect(machine.userfaultfd.copy(5, 1, CONTENT, 0)).toBe(1);
      expect(await takeExits(machine.exits)).toMatchObject([{ isWrite: true, address: 0x80, data }]);
    },
  );
});

describe('the state of a vCPU', () => {
  it('comes back as it was set', () => {
    const vcpu = createThreadVm(SPIN).vcpus[0]!;
    const regs = vcpu.getState('regs');
    expect(regs).toHaveLength(144);
    regs.forEach((_, i) => (regs[i] = i ^ 0x5a));
    vcpu.setState('regs', regs);
    expect(vcpu.getState('regs')).toEqual(regs);
  });

  it('has the x87 and SSE control words of a reset at first', () => {
    const xsave = createThreadVm(SPIN).vcpus[0]!.getState('xsave');
    const view = new DataView(xsave.buffer, xsave.byteOffset);
    expect([view.getUint16(0, true), view.getUint32(24, true)]).toEqual([0x37f, 0x1f80]);
    expect(view.getBigUint64(512, true)).toBe(0n);
  });

  it.each(['one vCPU', 'two vCPUs in turn'])('of all x87 and vector registers is kept by %s', async (how) => {
    const { memory, vcpus } = createThreadVm(COUNT, 2);
    const xsave = await ThreadXsave.of(memory, vcpus[0]!);
    const wanted = xsave.patterns();
    setRegisters(vcpus[0]!, { rip: at(CODE), rax: 0n });
    vcpus[0]!.setState('xsave', wanted);
    let runs = vcpus[0]!;
    for (let round = 0; round < 20; round++) {
      await ran(runs);
      expectSame(runs.getState('xsave'), wanted, xsave.components);
      if (how === 'one vCPU') continue;
      const other = runs === vcpus[0] ? vcpus[1]! : vcpus[0]!;
      other.setState('regs', runs.getState('regs'));
      other.setState('xsave', runs.getState('xsave'));
      runs = other;
    }
  });

  it('is in the registers of the processor, and what they hold is in it', async () => {
    const { memory, vcpus } = createThreadVm(SPIN, 2);
    const xsave = await ThreadXsave.of(memory, vcpus[0]!);
    const wanted = xsave.patterns();
    const [from, to] = [0x4000, 0x6000];
    // The first stores all vector registers; the second, with another state, loads them from what was stored.
    memory.write(from, Uint8Array.from([...xsave.moveAll('store'), ...COUNT]));
    memory.write(to, Uint8Array.from([...xsave.moveAll('load'), ...COUNT]));
    vcpus[0]!.setState('xsave', wanted);
    setRegisters(vcpus[0]!, { rip: at(from), rdi: at(0x8000), rax: 0n });
    await ran(vcpus[0]!);
    const expected = xsave.vectorsOf(wanted);
    const stored = new Uint8Array(expected.length);
    memory.read(0x8000, stored);
    expect(Buffer.from(stored).toString('hex')).toBe(Buffer.from(expected).toString('hex'));
    setRegisters(vcpus[1]!, { rip: at(to), rdi: at(0x8000), rax: 0n });
    await ran(vcpus[1]!);
    expect(Buffer.from(xsave.vectorsOf(vcpus[1]!.getState('xsave'))).equals(Buffer.from(stored))).toBe(true);
  });

  it('of another size is refused', () => {
    const vcpu = createThreadVm(SPIN).vcpus[0]!;
    for (const name of ['regs', 'xsave'] as const) {
      const { length } = vcpu.getState(name);
      for (const bytes of [0, length - 1, length + 1]) {
        expect(() => vcpu.setState(name, new Uint8Array(bytes))).toThrow(
          `${name} must be ${length} bytes, not ${bytes}`,
        );
      }
    }
  });

  it.each<[string, number, number]>([
    ['a reserved bit of MXCSR', 27, 0x80],
    ['a component that no CPU has (XSTATE_BV)', 519, 0x40],
    ['the compacted format (XCOMP_BV)', 527, 0x80],
    ['a component in XCOMP_BV', 520, 1],
    ['a reserved byte of its header', 528, 1],
    ['the last reserved byte of its header', 575, 0x80],
  ])('with %s is refused, and the vCPU as it was', async (_, place, bits) => {
    const vcpu = createThreadVm(COUNT).vcpus[0]!;
    const before = vcpu.getState('xsave');
    const bad = Uint8Array.from(before);
    bad[place]! |= bits;
    bad[160] = 0x77;
    expect(() => vcpu.setState('xsave', bad)).toThrow('xsave has bits that this CPU does not take');
    expect(vcpu.getState('xsave')).toEqual(before);
    await ran(vcpu);
  });

  it('is nothing that only KVM has', () => {
    const { vm, memory, vcpus } = createThreadVm(SPIN);
    const vcpu = vcpus[0]!;
    for (const name of ['sregs', 'lapic', 'mpState', ''] as VcpuStateName[]) {
      expect(() => vcpu.getState(name)).toThrow(`a vCPU of threads has no such state: ${name}`);
      expect(() => vcpu.setState(name, new Uint8Array(1))).toThrow(`a vCPU of threads has no such state: ${name}`);
    }
    for (const call of [
      () => vcpu.getMsrs(Uint32Array.of(0x10)),
      () => vcpu.setMsrs(new Uint8Array(16)),
      () => vcpu.setCpuid(new Uint8Array(40)),
      () => vcpu.setTscKhz(1_000_000),
    ]) {
      expect(call).toThrow('a vCPU of threads has no KVM');
    }
    for (const call of [
      () => vm.createIrqchip(0xfffbd000, 0xfffbc000),
      () => vm.setMemory(0, 0, memory, 0, BYTES),
      () => vm.setRouting(new Uint8Array(0)),
      () => vm.getState('clock'),
      () => vm.setState('clock', new Uint8Array(48)),
    ]) {
      expect(call).toThrow('a VM of threads has no KVM');
    }
    expect([vcpu.getTscKhz(), vcpu.notePaused()]).toEqual([0, false]);
    expect(() => vm.setIrq(4, true)).not.toThrow();
  });

  it('is refused while it runs', () => {
    const vcpu = createThreadVm(SPIN).vcpus[0]!;
    const regs = vcpu.getState('regs');
    vcpu.resume();
    for (const call of [() => vcpu.getState('regs'), () => vcpu.setState('regs', regs), () => vcpu.getState('xsave')]) {
      expect(call).toThrow('the vCPU runs');
    }
    park(vcpu);
  });
});

function expectSame(state: Uint8Array, wanted: Uint8Array, components: Component[]): void {
  const hex = (bytes: Uint8Array, { at, bytes: length }: Component) =>
    Buffer.from(bytes.subarray(at, at + length)).toString('hex');
  for (const component of components) {
    expect(hex(state, component), component.name).toBe(hex(wanted, component));
  }
}

/** For another process: as createThreadVm(), its code and then an endless loop; RAX is 2. */
const machine = (code: string) => `
  const memory = new native.GuestMemory(${BYTES}, 'threads');
  const vm = new native.Vm('threads', memory);
  memory.write(${CODE}, Uint8Array.of(${code}, 0xeb, 0xfe));
  const vcpu = new native.Vcpu(vm, 0);
  const regs = vcpu.getState('regs');
  const view = new DataView(regs.buffer, regs.byteOffset);
  view.setBigUint64(${AT.rip}, ${at(CODE)}n, true);
  view.setBigUint64(${AT.rdi}, ${at(5 * PAGE)}n, true);
  view.setBigUint64(${AT.rax}, 2n, true);
  vcpu.setState('regs', regs);
`;
const EXITS = 'const exits = new native.ExitQueue(null, vm.exitQueueHandle);';
const CLOSE = `
  vm.close();
  if (!vcpu.close(5000)) throw new Error('the vCPU did not end');
  globalThis.userfaultfd?.close();
  memory.close();
  new native.GuestMemory(${BYTES}, 'threads').close();
`;
const waitFor = (fd: string) =>
  `if (native.poll(Int32Array.of(${fd}, 1, 0), 1, 5000) !== 1) throw new Error('nothing');`;
const RUNNING = `${machine('0x90')} vcpu.resume(); vcpu.waitParked(20);`;

describe('the end', () => {
  const STAGES: Record<string, string> = {
    'before it ran': machine('0x90'),
    'while it runs': RUNNING,
    'while it is parked': `${RUNNING} vcpu.requestPause(); vcpu.waitParked(5000);`,
    'while it waits for an answer': `${machine('0xe4, 0x81')} ${EXITS} vcpu.resume(); ${waitFor('exits.fd')}`,
    'while it waits for a page': `
      ${machine('0x8a, 0x07')}
      globalThis.userfaultfd = new native.Userfaultfd(memory);
      userfaultfd.register(5, 1, false);
      vcpu.resume();
      ${waitFor('userfaultfd.fd')}`,
    'while it idles': `${machine('0xb8, 0xff, 0xff, 0xff, 0xff, 0xe7, 0xed, 0xeb, 0xf7')} vcpu.resume(); vcpu.waitParked(20);`,
    'when it has stopped': `${machine('0x0f, 0x0b')} ${EXITS} vcpu.resume(); vcpu.waitParked(5000);`,
  };

  it.each(Object.entries(STAGES))('%s: all goes with close()', async (_, stage) => {
    const { code, signal, stderr } = await runNode(`${stage} ${CLOSE} process.exitCode = 7;`);
    expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' });
  });

  it.each(Object.entries(STAGES))('%s: the process ends', async (_, stage) => {
    const { code, signal, stderr } = await runNode(`${stage} process.exit(7);`);
    expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: '' });
  });
});

describe('a signal', () => {
  const SIGNALS = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'] as const;
  const VCPU_TID = `
    const { readdirSync, readFileSync } = require('node:fs');
    const tid = Number(readdirSync('/proc/self/task').find(
      (id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8') === 'vcpu0\\n'));
  `;
  const WAIT = 'setTimeout(() => {}, 5000);';

  it.each(SIGNALS)('%s from outside ends a process with such a vCPU', async (name) => {
    const { signal, stderr } = await runNode(`${RUNNING} process.kill(process.pid, '${name}'); ${WAIT}`);
    expect({ signal, stderr }).toEqual({ signal: name, stderr: '' });
  });

  // kill(2) with the ID of a thread is for its process, and that thread is the first that may take it.
  it.each(SIGNALS)('%s from outside that the vCPU itself takes is none of its guest', async (name) => {
    const { signal, stderr } = await runNode(`${RUNNING} ${VCPU_TID} process.kill(tid, '${name}'); ${WAIT}`);
    expect({ signal, stderr }).toEqual({ signal: name, stderr: '' });
  });

  it('of WebAssembly that reads outside of its memory is a RuntimeError as ever', async () => {
    // (func (export "f") (param i32) (result i32) (i32.load (local.get 0))), and one page of memory
    const code = `
      const bytes = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1,
        7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11]);
      const { f } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
      const attempt = () => { try { return f(-8); } catch (error) { return error.constructor.name; } };
      const seen = [f(0), attempt()];
      ${machine('0x90')}
      seen.push(attempt());
      vcpu.resume();
      vcpu.waitParked(20);
      for (let i = 0; i < 100; i++) seen.push(attempt());
      ${CLOSE}
      seen.push(attempt(), f(0));
      console.log([...new Set(seen)].join());
    `;
    const { code: exit, signal, stdout, stderr } = await runNode(code);
    expect({ exit, signal, stdout, stderr }).toEqual({ exit: 0, signal: null, stdout: '0,RuntimeError\n', stderr: '' });
  });
});

it('a page that is lost stops the vCPU that comes to it, again and again', async () => {
  const { memory, vcpus, exits } = createThreadVm([0x8a, 0x03]); // mov al, [rbx]
  const lost = 9;
  losePage(memory, lost);
  setRegisters(vcpus[0]!, { rbx: at(lost * PAGE + 8) });
  for (let tries = 0; tries < 2; tries++) {
    vcpus[0]!.resume();
    expect(await takeExits(exits)).toMatchObject([{ kind: KIND_STOPPED, address: 0xffff_fffd, data: BigInt(lost) }]);
    expect(vcpus[0]!.waitParked(PATIENCE_MS)).toBe(true);
    expect(registerOf(vcpus[0]!, 'rip')).toBe(at(CODE));
  }
});
