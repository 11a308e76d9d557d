/**
 * The pages that vCPUs touch first when they go on: their page tables, code, stack and what their registers point to.
 * They go along with STATE. Alone, a vCPU would fault on them one after the other, each for a round trip.
 */
import {
  addressRegisters,
  generalPointers,
  CR0_PG,
  CR4_LA57,
  EFER_LMA,
  type AddressRegisters,
} from '../../boot/cpu-registers.js';
import type { MachineName } from '../../configure/machine-setting.js';
import { viewOf } from '../../memory/byte-view.js';
import type { RamBytes } from '../../memory/guest-memory.js';
import { GUEST_BASE, ramOffsetOf } from '../../memory/layout.js';
import { PAGE_SIZE, pageOf } from '../../memory/page-size.js';
import type { NativeVcpu } from '../../native.js';
import { FIRST_PAGES_MAX } from '../wire/protocol.js';
import { savedMsr, type VcpuState } from '../../machine/vcpu-state.js';

/** Of one vCPU. */
const VCPU_PAGES = 32;

// Intel SDM vol. 4: a kernel's data of this CPU while it runs a program, and where system calls go.
const MSR_KERNEL_GS_BASE = 0xc0000102;
const MSR_LSTAR = 0xc0000082;
// Documentation/virt/kvm/x86/msr.rst: guest-physical addresses with flags in their low bits; KVM itself goes there.
const KVM_MSRS = [0x4b564d01, 0x4b564d03, 0x4b564d04]; // kvmclock, steal time, end of interrupt
const KVM_MSR_FLAGS = 0x3fn;

// Intel SDM vol. 3, 4.5.
const ENTRY_BYTES = 8;
const PRESENT = 1;
const PAGE_SIZE_BIT = 0x80;
const INDEX_BITS = 9n;
const PAGE_BITS = 12n;
const INDEX_MASK = 0x1ffn;
const HIGH_WORD_MASK = 0xfffff;
const LOW_WORD_MASK = 0xfffff000;

type KvmFirstState = Pick<VcpuState, 'regs' | 'sregs' | 'msrs'>;
/** A vCPU that is a thread has general registers only. */
export type FirstState = KvmFirstState | Pick<VcpuState, 'regs'>;

const FIRST_MSRS = Uint32Array.of(...KVM_MSRS, MSR_KERNEL_GS_BASE, MSR_LSTAR);

/** Of a vCPU that stands still; less than a save, and before it. */
export function firstState(vcpu: NativeVcpu, machine: MachineName): FirstState {
  if (machine === 'threads') return { regs: vcpu.getState('regs') };
  return { regs: vcpu.getState('regs'), sregs: vcpu.getState('sregs'), msrs: vcpu.getMsrs(FIRST_MSRS) };
}

/** A vCPU that still has pages to name, and how many of them may go along. */
interface Turn {
  pages: Iterator<number>;
  left: number;
}

/**
 * Page numbers of guest RAM, each once, of a VM whose vCPUs stand still. The vCPUs take turns, so that of many each has its
 * share: the surest pages of the last one are worth more than the doubtful ones of the first.
 */
export function firstPages(ram: RamBytes, vcpus: readonly FirstState[]): number[] {
  const all = new Set<number>();
  let turns = vcpus.map((vcpu): Turn => ({
    pages: 'sregs' in vcpu ? pagesOf(ram, vcpu) : pagesOfThread(ram, vcpu.regs),
    left: VCPU_PAGES,
  }));
  while (turns.length > 0) turns = turns.filter((turn) => all.size < FIRST_PAGES_MAX && takeNew(turn, all));
  return [...all];
}

/** Adds the next page that nobody has named yet. False if the vCPU has no other turn. */
function takeNew(turn: Turn, all: Set<number>): boolean {
  for (let next = turn.pages.next(); next.done !== true; next = turn.pages.next()) {
    if (all.has(next.value)) continue;
    all.add(next.value);
    return --turn.left > 0;
  }
  return false;
}

/** Of one vCPU, the surest first; some of them again and again. */
function* pagesOf(ram: RamBytes, { regs, sregs, msrs }: KvmFirstState): Generator<number> {
  const registers = addressRegisters(regs, sregs);
  const walk = new PageWalk(ram, registers);
  const [code, stack, ...others] = registers.pointers as [bigint, bigint, ...bigint[]];
  for (const index of KVM_MSRS) yield* walk.page(Number((savedMsr(msrs, index) ?? 0n) & ~KVM_MSR_FLAGS));
  const kernel = [MSR_KERNEL_GS_BASE, MSR_LSTAR].map((index) => savedMsr(msrs, index) ?? 0n);
  const size = BigInt(PAGE_SIZE);
  for (const address of [code, stack, stack - size, ...kernel, code + size, ...others]) {
    yield* walk.to(BigInt.asUintN(64, address));
  }
}

/** RAM begins at GUEST_BASE for it, and no tables are on the way. */
function* pagesOfThread(ram: RamBytes, regs: Uint8Array): Generator<number> {
  const [code, stack, ...others] = generalPointers(regs) as [bigint, bigint, ...bigint[]];
  const size = BigInt(PAGE_SIZE);
  for (const address of [code, stack, stack - size, code + size, ...others]) {
    const offset = address - BigInt(GUEST_BASE);
    if (offset >= 0n && offset < BigInt(ram.bytes)) yield pageOf(Number(offset));
  }
}

/** Follows a guest's page tables. In other modes than 64-bit paging or none, it finds nothing. */
class PageWalk {
  readonly #ram: RamBytes;
  readonly #registers: AddressRegisters;
  readonly #levels: number;
  readonly #entry = new Uint8Array(ENTRY_BYTES);
  readonly #view = viewOf(this.#entry);

  constructor(ram: RamBytes, registers: AddressRegisters) {
    this.#ram = ram;
    this.#registers = registers;
    this.#levels = (registers.cr4 & CR4_LA57) !== 0n ? 5 : 4;
  }

  /** The pages on the way to this linear address, and its own. */
  *to(linear: bigint): Generator<number> {
    const { cr0, cr3, efer } = this.#registers;
    if ((cr0 & CR0_PG) === 0n) return yield* this.page(Number(linear));
    if ((efer & EFER_LMA) === 0n) return;
    let table = physicalAddress(Number(cr3 & 0xffffffffn), Number((cr3 >> 32n) & 0xffffffffn));
    for (let level = this.#levels - 1; level >= 0; level--) {
      yield* this.page(table);
      const shift = PAGE_BITS + INDEX_BITS * BigInt(level);
      if (!this.#readEntry(table + Number((linear >> shift) & INDEX_MASK) * ENTRY_BYTES)) return;
      const low = this.#view.getUint32(0, true);
      if ((low & PRESENT) === 0) return;
      table = physicalAddress(low, this.#view.getUint32(4, true));
      if (level > 0 && (low & PAGE_SIZE_BIT) !== 0) {
        const offset = linear & ((1n << shift) - 1n);
        return yield* this.page(table - (table % 2 ** Number(shift)) + Number(offset));
      }
    }
    yield* this.page(table);
  }

  /** Nothing for an address that is not RAM. */
  *page(guestAddress: number): Generator<number> {
    const offset = this.#offsetOf(guestAddress, 1);
    if (offset !== undefined) yield pageOf(offset);
  }

  #readEntry(guestAddress: number): boolean {
    const offset = this.#offsetOf(guestAddress, ENTRY_BYTES);
    return offset !== undefined && readOrLost(this.#ram, offset, this.#entry);
  }

  #offsetOf(guestAddress: number, length: number): number | undefined {
    try {
      return ramOffsetOf(this.#ram.bytes, guestAddress, length);
    } catch {
      return undefined;
    }
  }
}

/** False for a page that is lost to a memory error. */
function readOrLost(ram: RamBytes, offset: number, into: Uint8Array): boolean {
  try {
    ram.read(offset, into);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EHWPOISON') throw error;
    return false;
  }
}

/** Bits 12 to 51 of an entry, or of CR3. */
function physicalAddress(low: number, high: number): number {
  return (high & HIGH_WORD_MASK) * 2 ** 32 + ((low & LOW_WORD_MASK) >>> 0);
}

/** Those that are not lost to a memory error: the others are told of with the rest. */
export function withoutLost(ram: RamBytes, pages: readonly number[]): number[] {
  const byte = new Uint8Array(1);
  return pages.filter((page) => readOrLost(ram, page * PAGE_SIZE, byte));
}

/** The content of these pages, one after the other. */
export function contentOf(ram: RamBytes, pages: readonly number[]): Uint8Array {
  const content = new Uint8Array(pages.length * PAGE_SIZE);
  pages.forEach((page, i) => ram.read(page * PAGE_SIZE, content.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE)));
  return content;
}
