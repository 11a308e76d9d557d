/** What of a machine that comes from another host goes to the kernel: its CPUID, its vCPUs, its chips, its clocks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KVM_REGS_BYTES, KVM_SREGS_BYTES } from '../../../src/boot/cpu-registers.js';
import { cpuObjections } from '../../../src/boot/cpuid-compare.js';
import { decodeCpuid, encodeCpuid, isCpuid } from '../../../src/boot/cpuid-entries.js';
import { startClocks } from '../../../src/machine/clocks.js';
import { restoreKvmState, type KvmState } from '../../../src/machine/machine-state.js';
import { featureMsrObjections } from '../../../src/migrate/destination/checks/feature-msrs.js';
import { contentOf, firstPages } from '../../../src/migrate/source/first-pages.js';
import { VCPU_STATES, type VcpuStateName } from '../../../src/native.js';
import { clockData, FakeVm } from '../machine/fake-kvm.js';
import { FakeVcpu, LAPIC_BYTES, msrEntries } from '../machine/fake-vcpu.js';
import { FakeRam } from '../memory/fake-ram.js';
import { bytesLike, fuzz, FUZZ_TIMEOUT_MS, onlyPostcopyError } from './fuzz.js';

/** Sizes of the kernel's structures; which they are does not matter here. */
const SIZES: Record<VcpuStateName, number> = {
  ...{ mpState: 4, vcpuEvents: 64, regs: 144, sregs: 312, debugregs: 128, xcrs: 392, xsave: 4096, lapic: LAPIC_BYTES },
};
const CHIP_BYTES = 520;
const PIT_BYTES = 112;

/** Takes what has the right size, as the addon does. */
class SizedVcpu extends FakeVcpu {
  override setState(name: string, bytes: Uint8Array): void {
    if (bytes.length !== SIZES[name as VcpuStateName]) throw new RangeError(`${name} has another size`);
    super.setState(name, bytes);
  }
}

class SizedVm extends FakeVm {
  constructor() {
    super([]);
    this.state.set('pit', new Uint8Array(PIT_BYTES));
  }

  override setState(name: string, bytes: Uint8Array): void {
    const wanted = name === 'clock' ? 48 : name === 'pit' ? PIT_BYTES : CHIP_BYTES;
    if (bytes.length !== wanted) throw new RangeError(`${name} has another size`);
    super.setState(name, bytes);
  }
}

const blob = (bytes: number) =>
  fc.oneof(
    { weight: 20, arbitrary: fc.uint8Array({ minLength: bytes, maxLength: bytes, size: 'max' }) },
    fc.uint8Array({ maxLength: 2 * bytes }),
  );
const msrs = bytesLike([msrEntries([0x10, 5n], [0x6e0, 9n], [0x10a, 1n]), msrEntries([0x8b, 2n ** 64n - 1n])], 2);
const vcpu = fc.record({
  ...Object.fromEntries(
    VCPU_STATES.map((name) => [name, name === 'xsave' ? fc.constant(new Uint8Array(4096)) : blob(SIZES[name])]),
  ),
  msrs,
}) as fc.Arbitrary<KvmState['vcpus'][number]>;
const chip = blob(CHIP_BYTES);
const state = fc.record({
  machine: fc.constant('kvm' as const),
  vcpus: fc.array(vcpu, { minLength: 1, maxLength: 2 }),
  chips: fc.record({ picMaster: chip, picSlave: chip, ioapic: chip, pit: blob(PIT_BYTES) }),
  clock: fc.oneof({ weight: 9, arbitrary: fc.bigInt(0n, 2n ** 64n - 1n).map(clockData) }, blob(48)),
});

describe('a machine of KVM', { timeout: FUZZ_TIMEOUT_MS }, () => {
  it('takes or refuses any state, and what it takes has clocks that can go on', () => {
    const refused = fc.uniqueArray(fc.constantFrom(0x10, 0x6e0, 0x10a, 0x8b), { maxLength: 2 });
    const micros = fc.oneof(fc.nat(10_000), fc.double({ min: -1e12, max: 1e12, noNaN: true }));
    fuzz(
      fc.property(state, refused, micros, fc.nat(5_000_000), (given, readOnly, atMicros, tscKhz) => {
        const vm = new SizedVm().asVm();
        const vcpus = given.vcpus.map(() => new SizedVcpu());
        for (const each of vcpus) for (const index of readOnly) each.readOnly.add(index);
        const asVcpus = vcpus.map((each) => each.asVcpu());
        const taken = onlyPostcopyError(() => (restoreKvmState(vm, asVcpus, given), true));
        if (taken === true) onlyPostcopyError(() => startClocks(vm, asVcpus, given, atMicros, tscKhz));
      }),
    );
  });
});

describe('the CPU that a guest was shown', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const entry = (leaf: number, index: number, ...[eax, ebx, ecx, edx]: [number, number, number, number]) => ({
    ...{ function: leaf, index, flags: 1, eax, ebx, ecx, edx },
  });
  const host = encodeCpuid([
    entry(0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69),
    entry(1, 0, 0x606a6, 0x100800, 0xfffaf38f, 0xbfebfbff),
    entry(7, 0, 2, 0xf1bf07ab, 0x405f4e, 0xfc004510),
    entry(0xd, 0, 7, 0x340, 0x340, 0),
    entry(0xd, 2, 0x100, 0x240, 0, 0),
    entry(0x80000001, 0, 0, 0, 0x121, 0x2c100800),
    entry(0x80000008, 0, 0x3039, 0, 0, 0),
  ]);

  it('is compared with that of this host, whatever it is', () => {
    fuzz(
      fc.property(bytesLike([host, host.subarray(40), host.subarray(0, 120)], 2), (guest) => {
        if (!isCpuid(guest)) {
          expect(() => decodeCpuid(guest)).toThrow(RangeError);
          return;
        }
        for (const text of [...cpuObjections(guest, host), ...cpuObjections(host, guest)]) {
          expect(text).toMatch(/^[ -~]*$/);
        }
      }),
    );
  });

  it('and so are the MSRs that tell of it', () => {
    const here = msrEntries([0x10a, 0x2n], [0x8b, 1n]);
    fuzz(
      fc.property(msrs, (told) => {
        for (const text of featureMsrObjections(told, here)) expect(text).toMatch(/^[ -~]*$/);
      }),
    );
  });
});

describe('the pages that vCPUs touch first', { timeout: FUZZ_TIMEOUT_MS }, () => {
  const RAM_BYTES = 16 * 4096;
  const [CR0, CR3, CR4, EFER] = [224, 240, 248, 264] as const;
  /** Small ones lie in RAM, as page tables, entries of them and addresses. */
  const word = fc.oneof(
    fc.nat(RAM_BYTES + 4096).map(BigInt),
    fc.nat(RAM_BYTES).map((address) => BigInt(address) | 1n),
    fc.bigInt(0n, 2n ** 64n - 1n),
  );
  const filled = (bytes: number) =>
    fc.array(word, { minLength: bytes / 8, maxLength: bytes / 8, size: 'max' }).map((all) => {
      const buffer = Buffer.alloc(bytes);
      all.forEach((value, i) => buffer.writeBigUInt64LE(value, 8 * i));
      return buffer;
    });
  const system = fc
    .tuple(filled(KVM_SREGS_BYTES), fc.boolean(), fc.boolean(), fc.nat(RAM_BYTES))
    .map(([sregs, pages, isLong, cr3]) => {
      sregs.writeBigUInt64LE(pages ? 1n << 31n : 0n, CR0);
      sregs.writeBigUInt64LE(BigInt(cr3), CR3);
      sregs.writeBigUInt64LE(isLong ? 1n << 12n : 0n, CR4);
      sregs.writeBigUInt64LE(isLong ? 1n << 10n : 0n, EFER);
      return sregs;
    });
  const first = fc.record({ regs: filled(KVM_REGS_BYTES), sregs: system, msrs });
  const thread = fc.record({ regs: filled(KVM_REGS_BYTES) });

  it('are pages of RAM, each once, wherever a guest has its registers and tables point', () => {
    const vcpus = fc.array(fc.oneof(first, thread), { minLength: 1, maxLength: 6 });
    fuzz(
      fc.property(vcpus, fc.array(fc.tuple(fc.nat(RAM_BYTES / 8 - 1), word), { maxLength: 60 }), (states, tables) => {
        const ram = new FakeRam(RAM_BYTES);
        for (const [at, value] of tables) ram.write(8 * at, Buffer.from(BigUint64Array.of(value).buffer));
        const pages = firstPages(ram, states);
        expect(new Set(pages).size).toBe(pages.length);
        expect(pages.length).toBeLessThanOrEqual(16);
        expect(contentOf(ram, pages).length).toBe(pages.length * 4096);
      }),
    );
  });
});
