import type { NativeVcpu } from '../../../src/native.js';

/** Packed struct kvm_msr_entry of [index, value] pairs. */
export function msrEntries(...msrs: [index: number, value: bigint][]): Uint8Array {
  const bytes = new Uint8Array(msrs.length * 16);
  const view = new DataView(bytes.buffer);
  msrs.forEach(([index, value], i) => {
    view.setUint32(i * 16, index, true);
    view.setBigUint64(i * 16 + 8, value, true);
  });
  return bytes;
}

export function msrsOf(entries: Uint8Array): [index: number, value: bigint][] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  return Array.from({ length: entries.length / 16 }, (_, i) => [
    view.getUint32(i * 16, true),
    view.getBigUint64(i * 16 + 8, true),
  ]);
}

/** struct kvm_lapic_state. */
export const LAPIC_BYTES = 1024;

/** Keeps what is set, and the order in which it was. */
export class FakeVcpu {
  /** `set NAME`, `get NAME`, `msr INDEX`, `notePaused`. */
  readonly log: string[] = [];
  readonly state = new Map<string, Uint8Array>();
  readonly msrs = new Map<number, bigint>();
  /** KVM does not let these be set. */
  readonly readOnly = new Set<number>();

  getState(name: string): Uint8Array {
    this.log.push(`get ${name}`);
    return this.state.get(name) ?? (name === 'lapic' ? new Uint8Array(LAPIC_BYTES) : new TextEncoder().encode(name));
  }

  setState(name: string, bytes: Uint8Array): void {
    this.log.push(`set ${name}`);
    this.state.set(name, bytes);
  }

  getMsrs(indices: Uint32Array): Uint8Array {
    return msrEntries(
      ...[...indices].filter((i) => this.msrs.has(i)).map((i) => [i, this.msrs.get(i)!] as [number, bigint]),
    );
  }

  setMsrs(entries: Uint8Array): number {
    let set = 0;
    for (const [index, value] of msrsOf(entries)) {
      if (this.readOnly.has(index)) break;
      this.log.push(`msr ${index.toString(16)}`);
      this.msrs.set(index, value);
      set++;
    }
    return set;
  }

  /** Of the TSC: undefined where KVM takes none. */
  offset: bigint | undefined;

  getTscOffset(): bigint | undefined {
    return this.offset;
  }

  setTscOffset(offset: bigint): boolean {
    this.log.push('TSC offset');
    this.offset = offset;
    return true;
  }

  notePaused(): boolean {
    this.log.push('notePaused');
    return true;
  }

  asVcpu(): NativeVcpu {
    return this as unknown as NativeVcpu;
  }
}
