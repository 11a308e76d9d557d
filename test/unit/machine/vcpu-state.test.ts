import { describe, expect, it } from 'vitest';
import {
  putTsc,
  readTsc,
  restoreDeadline,
  restoreVcpu,
  savedTsc,
  saveVcpu,
  writeTsc,
  type VcpuState,
} from '../../../src/machine/vcpu-state.js';
import { FakeVcpu, LAPIC_BYTES, msrEntries, msrsOf } from './fake-vcpu.js';

const TSC = 0x10;
const WALL_CLOCK = 0x11;
const SYSENTER_CS = 0x174;
const TSC_DEADLINE = 0x6e0;
const WALL_CLOCK_NEW = 0x4b564d00;
const SYSTEM_TIME_NEW = 0x4b564d01;
const EFER = 0xc000_0080;

function stateWith(...msrs: [number, bigint][]): VcpuState {
  const parts = ['regs', 'sregs', 'debugregs', 'xcrs', 'xsave', 'mpState', 'vcpuEvents', 'lapic'] as const;
  const bytes = Object.fromEntries(parts.map((part, i) => [part, Uint8Array.of(i)]));
  return { ...bytes, lapic: new Uint8Array(LAPIC_BYTES), msrs: msrEntries(...msrs) } as VcpuState;
}

describe('saveVcpu', () => {
  it('asks for mp_state first, because that settles a pending INIT', () => {
    const vcpu = new FakeVcpu();
    vcpu.msrs.set(EFER, 5n);
    const state = saveVcpu(vcpu.asVcpu(), Uint32Array.of(TSC, EFER));
    expect(vcpu.log[0]).toBe('get mpState');
    expect([...vcpu.log].sort()).toEqual(
      ['debugregs', 'lapic', 'mpState', 'regs', 'sregs', 'vcpuEvents', 'xcrs', 'xsave'].map((name) => `get ${name}`),
    );
    expect(new TextDecoder().decode(state.xsave)).toBe('xsave');
    expect(msrsOf(state.msrs)).toEqual([[EFER, 5n]]);
  });
});

describe('restoreVcpu', () => {
  it('puts each part back in an order that KVM takes', () => {
    const vcpu = new FakeVcpu();
    const state = stateWith([EFER, 0x500n]);
    restoreVcpu(vcpu.asVcpu(), state);
    expect(vcpu.log).toEqual([
      'set sregs',
      'set regs',
      'set xcrs',
      'set xsave',
      'msr c0000080',
      'set lapic',
      'set debugregs',
      'set mpState',
      'set vcpuEvents',
    ]);
    for (const [name, bytes] of vcpu.state) expect(bytes).toEqual(state[name as keyof VcpuState]);
  });

  it('leaves time for later, and the wall clock alone', () => {
    const vcpu = new FakeVcpu();
    const state = stateWith(
      [WALL_CLOCK_NEW, 1n],
      [EFER, 2n],
      [TSC_DEADLINE, 3n],
      [SYSTEM_TIME_NEW, 4n],
      [TSC, 5n],
      [WALL_CLOCK, 6n],
      [SYSENTER_CS, 7n],
    );
    restoreVcpu(vcpu.asVcpu(), state);
    expect([...vcpu.msrs]).toEqual([
      [SYSENTER_CS, 7n],
      [SYSTEM_TIME_NEW, 4n],
      [EFER, 2n],
    ]);
  });

  it('passes over an MSR that cannot be set and has the value already', () => {
    const vcpu = new FakeVcpu();
    vcpu.readOnly.add(0x8b).add(0x10a);
    vcpu.msrs.set(0x8b, 9n).set(0x10a, 1n);
    restoreVcpu(vcpu.asVcpu(), stateWith([0x8b, 9n], [0x10a, 1n], [SYSENTER_CS, 7n]));
    expect(vcpu.msrs.get(SYSENTER_CS)).toBe(7n);
  });

  it('passes over an MSR that this KVM does not have and that holds nothing', () => {
    const vcpu = new FakeVcpu();
    vcpu.readOnly.add(0x309);
    restoreVcpu(vcpu.asVcpu(), stateWith([0x309, 0n], [SYSENTER_CS, 7n]));
    expect(vcpu.msrs.get(SYSENTER_CS)).toBe(7n);
  });

  it.each([
    ['another value', (vcpu: FakeVcpu) => vcpu.msrs.set(0x10a, 2n)],
    ['none', (vcpu: FakeVcpu) => vcpu.msrs.delete(0x10a)],
  ])('refuses an MSR that cannot be set and has %s', (_, prepare) => {
    const vcpu = new FakeVcpu();
    vcpu.readOnly.add(0x10a);
    prepare(vcpu);
    const restore = () => restoreVcpu(vcpu.asVcpu(), stateWith([0x10a, 1n], [SYSENTER_CS, 7n]));
    expect(restore).toThrow(expect.objectContaining({ code: 'HOST_LACKS' }));
    expect(restore).toThrow('MSR 0x10a (IA32_ARCH_CAPABILITIES) = 0x1');
  });

  it('names all MSRs that are refused, at once', () => {
    const vcpu = new FakeVcpu();
    vcpu.readOnly.add(0x10a).add(0x140);
    const restore = () => restoreVcpu(vcpu.asVcpu(), stateWith([0x10a, 1n], [SYSENTER_CS, 7n], [0x140, 2n]));
    expect(restore).toThrow(
      'does not take MSR 0x10a (IA32_ARCH_CAPABILITIES) = 0x1, MSR 0x140 (MISC_FEATURES_ENABLES) = 0x2',
    );
    expect(vcpu.msrs.get(SYSENTER_CS)).toBe(7n);
  });

  it('sets no MSR of what is hidden from the guest, whatever the source sent', () => {
    const vcpu = new FakeVcpu();
    vcpu.readOnly.add(0x345);
    const shown = { hides: (index: number) => index === 0x345, xfeatures: 7n };
    restoreVcpu(vcpu.asVcpu(), stateWith([0x345, 0x20c5n], [SYSENTER_CS, 7n]), shown);
    expect([...vcpu.msrs]).toEqual([[SYSENTER_CS, 7n]]);
  });

  it('takes components of the XSAVE area that the guest is not shown out of its header', () => {
    const xsave = new Uint8Array(576).fill(0x11);
    const bv = (bytes: Uint8Array) => new DataView(bytes.buffer).getBigUint64(512, true);
    new DataView(xsave.buffer).setBigUint64(512, 0x2e7n, true);
    const restored = (xfeatures: bigint) => {
      const vcpu = new FakeVcpu();
      restoreVcpu(vcpu.asVcpu(), { ...stateWith(), xsave }, { hides: () => false, xfeatures });
      return vcpu.state.get('xsave')!;
    };
    expect(bv(restored(7n))).toBe(7n);
    expect(bv(restored(0n))).toBe(3n); // x87 and SSE are there without XSAVE
    expect(restored(0x2e7n)).toBe(xsave);
    expect([bv(xsave), restored(7n).filter((byte) => byte === 0x11).length]).toEqual([0x2e7n, 568]);
  });

  it('reads MSRs out of the middle of a larger buffer', () => {
    const entries = msrEntries([EFER, 0x500n]);
    const buffer = new Uint8Array(entries.length + 7).fill(0xee);
    buffer.set(entries, 5);
    const vcpu = new FakeVcpu();
    restoreVcpu(vcpu.asVcpu(), { ...stateWith(), msrs: buffer.subarray(5, 5 + entries.length) });
    expect([...vcpu.msrs]).toEqual([[EFER, 0x500n]]);
  });
});

describe('the TSC', () => {
  it('is set as it was read, in a state that was read before', () => {
    const state = stateWith([EFER, 1n], [TSC, 1000n]);
    putTsc(state, 2n ** 64n - 5n);
    expect(savedTsc(state)).toBe(2n ** 64n - 5n);
    expect(msrsOf(state.msrs)).toEqual([
      [EFER, 1n],
      [TSC, 2n ** 64n - 5n],
    ]);
    expect(savedTsc(stateWith([EFER, 1n]))).toBeUndefined();
  });

  it('is written where KVM cannot take it for another one that it knows', () => {
    const vcpu = new FakeVcpu();
    const written: bigint[] = [];
    const { setMsrs } = vcpu;
    vcpu.setMsrs = (entries) => {
      written.push(...msrsOf(entries).map(([, value]) => value));
      return setMsrs.call(vcpu, entries);
    };
    writeTsc(vcpu.asVcpu(), 5_000_000_000n, true);
    expect(written).toHaveLength(2);
    expect(written[0]! - written[1]!).toBeGreaterThan(3600n * 5_000_000_000n); // an hour, at 5 GHz
    expect(readTsc(vcpu.asVcpu())).toBe(5_000_000_000n);
    writeTsc(vcpu.asVcpu(), 2n ** 64n + 7n, false); // wraps, as the counter does
    expect(written.slice(2)).toEqual([7n]);
  });
});

describe('restoreDeadline', () => {
  it('sets the deadline alone', () => {
    const vcpu = new FakeVcpu();
    restoreDeadline(vcpu.asVcpu(), stateWith([TSC_DEADLINE, 5000n], [EFER, 1n], [TSC, 1000n]));
    expect([...vcpu.msrs]).toEqual([[TSC_DEADLINE, 5000n]]);
  });
});
