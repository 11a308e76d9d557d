/** A VM of KVM that keeps what is set, and the order in which it was. */
import type { KvmState } from '../../../src/machine/machine-state.js';
import type { NativeVm } from '../../../src/native.js';
import { FakeVcpu, LAPIC_BYTES, msrEntries } from './fake-vcpu.js';

export const TSC = 0x10;

/** Of KVM. */
export class FakeVm {
  readonly state = new Map<string, Uint8Array>();

  constructor(readonly log: string[]) {}

  getState(name: string): Uint8Array {
    this.log.push(`get ${name}`);
    return this.state.get(name) ?? new Uint8Array(name === 'clock' ? 48 : 1);
  }

  setState(name: string, bytes: Uint8Array): void {
    this.log.push(`set ${name}`);
    this.state.set(name, bytes);
  }

  asVm(): NativeVm {
    return this as unknown as NativeVm;
  }
}

/** struct kvm_clock_data: nanoseconds first; flags, realtime and host TSC behind it mean something only to their host. */
export function clockData(nanoseconds: bigint): Uint8Array {
  const bytes = new Uint8Array(48).fill(0xee);
  new DataView(bytes.buffer).setBigUint64(0, nanoseconds, true);
  return bytes;
}

/** Of vCPUs with these TSCs. */
export function kvmState(clock: Uint8Array, ...tscs: bigint[]): KvmState {
  const part = new Uint8Array(1);
  const vcpu = {
    regs: part,
    sregs: part,
    debugregs: part,
    xcrs: part,
    xsave: part,
    mpState: part,
    vcpuEvents: part,
    lapic: new Uint8Array(LAPIC_BYTES),
  };
  return {
    machine: 'kvm',
    vcpus: tscs.map((tsc) => ({ ...vcpu, msrs: msrEntries([TSC, tsc]) })),
    chips: { picMaster: part, picSlave: part, ioapic: part, pit: part },
    clock,
  };
}

export function fakes(vcpus: number): { vm: FakeVm; vcpus: FakeVcpu[] } {
  return { vm: new FakeVm([]), vcpus: Array.from({ length: vcpus }, () => new FakeVcpu()) };
}
