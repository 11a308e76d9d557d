/** The vector registers of a vCPU that is a thread, as this processor has them and lays them out: the vCPU itself is asked. */
import { setTimeout as delay } from 'node:timers/promises';
import { viewOf } from '../../src/memory/byte-view.js';
import type { NativeMemory, NativeVcpu } from '../../src/native.js';
import { at, registerOf, setRegisters } from './thread-vm.js';
import { PATIENCE_MS } from './threads.js';

export interface Component {
  name: string;
  at: number;
  bytes: number;
}

/** Components of the XSAVE area beside x87 and SSE, by their bit in XCR0 (Intel SDM vol. 1, 13.1). */
const EXTENDED = new Map([
  [2, 'AVX'],
  [5, 'opmask'],
  [6, 'ZMM_Hi256'],
  [7, 'Hi16_ZMM'],
]);
const XSTATE_BV = 512;
const MXCSR = 24;
/** Room for the code that is run to ask. */
const ASK = 0x2000;

export class ThreadXsave {
  private constructor(
    readonly components: Component[],
    readonly bytes: number,
    readonly inUse: bigint,
  ) {}

  static async of(memory: NativeMemory, vcpu: NativeVcpu): Promise<ThreadXsave> {
    const components = [
      { name: 'x87 control and tags', at: 0, bytes: 5 },
      { name: 'MXCSR', at: MXCSR, bytes: 4 },
      { name: 'x87', at: 32, bytes: 128 },
      { name: 'SSE', at: 160, bytes: 256 },
    ];
    let inUse = 3n;
    // xor ecx, ecx; xgetbv
    const xcr0 = (await ask(memory, vcpu, [0x31, 0xc9, 0x0f, 0x01, 0xd0])).rax;
    for (const [bit, name] of EXTENDED) {
      if (((xcr0 >> BigInt(bit)) & 1n) === 0n) continue;
      // mov eax, 0xd; mov ecx, bit; cpuid: bytes in EAX, offset in EBX (SDM vol. 1, 13.2)
      const { rax, rbx } = await ask(memory, vcpu, [0xb8, 0xd, 0, 0, 0, 0xb9, bit, 0, 0, 0, 0x0f, 0xa2]);
      components.push({ name, at: Number(rbx), bytes: Number(rax) });
      inUse |= 1n << BigInt(bit);
    }
    return new ThreadXsave(components, vcpu.getState('xsave').length, inUse);
  }

  /** Hardly two bytes of it in a row are alike. */
  patterns(): Uint8Array {
    const state = new Uint8Array(this.bytes);
    for (const { at: from, bytes } of this.components) {
      for (let i = from; i < from + bytes; i++) state[i] = (i * 151 + (i >> 8) * 89 + 7) & 0xff;
    }
    // Behind the ten bytes of an x87 register are six that nobody keeps (SDM vol. 1, table 10-2).
    for (let i = 0; i < 8; i++) state.fill(0, 32 + i * 16 + 10, 32 + (i + 1) * 16);
    // All exceptions masked, rounding down; the status word without one; all eight registers valid.
    state.set([0x7f, 0x07, 0x00, 0x28, 0xff], 0);
    viewOf(state).setUint32(MXCSR, 0x3f80, true);
    viewOf(state).setBigUint64(XSTATE_BV, this.inUse, true);
    return state;
  }

  /** Vector registers, and what each of the first sixteen is put together from. */
  get #registers(): { count: number; parts: [name: string, bytes: number][]; bytes: number } {
    const names = ['SSE', 'AVX', 'ZMM_Hi256'].filter((name) => this.#has(name));
    const parts = names.map((name): [string, number] => [name, name === 'ZMM_Hi256' ? 32 : 16]);
    const bytes = parts.reduce((sum, [, part]) => sum + part, 0);
    return { count: this.#has('Hi16_ZMM') ? 32 : 16, parts, bytes };
  }

  /** What the processor stores of all vector registers, one after the other. */
  vectorsOf(xsave: Uint8Array): Uint8Array {
    const { count, parts, bytes } = this.#registers;
    return Buffer.concat(
      Array.from({ length: count }, (_, i) =>
        i < 16
          ? Buffer.concat(parts.map(([name, part]) => this.#piece(xsave, name, i, part)))
          : this.#piece(xsave, 'Hi16_ZMM', i - 16, bytes),
      ),
    );
  }

  /** Machine code that stores all vector registers at RDI, or loads them from there. */
  moveAll(what: 'store' | 'load'): number[] {
    const { count, bytes: whole } = this.#registers;
    const opcode = what === 'store' ? 0x11 : 0x10;
    return Array.from({ length: count }, (_, i) => {
      // [rdi + disp32]; EVEX has the displacement of 32 bits as it is, too (SDM vol. 2, 2.7.5).
      const place = [0x87 | ((i & 7) << 3), ...littleEndian(i * whole)];
      const bit = (n: number) => (i >> n) & 1;
      if (whole === 64) {
        const p0 = ((1 - bit(3)) << 7) | 0x60 | ((1 - bit(4)) << 4) | 1;
        return [0x62, p0, 0x7c, 0x48, opcode, ...place]; // vmovups zmm
      }
      if (whole === 32) return [0xc5, i < 8 ? 0xfc : 0x7c, opcode, ...place]; // vmovups ymm
      return [...(i < 8 ? [] : [0x44]), 0x0f, opcode, ...place]; // movups xmm
    }).flat();
  }

  #has(name: string): boolean {
    return this.components.some((component) => component.name === name);
  }

  #piece(xsave: Uint8Array, name: string, index: number, bytes: number): Uint8Array {
    const from = this.components.find((component) => component.name === name)!.at + index * bytes;
    return xsave.subarray(from, from + bytes);
  }
}

function littleEndian(value: number): number[] {
  return [...new Uint8Array(Uint32Array.of(value).buffer)];
}

async function ask(memory: NativeMemory, vcpu: NativeVcpu, code: number[]): Promise<{ rax: bigint; rbx: bigint }> {
  // Then jmp to itself.
  memory.write(ASK, Uint8Array.from([...code, 0xeb, 0xfe]));
  setRegisters(vcpu, { rip: at(ASK) });
  while (registerOf(vcpu, 'rip') !== at(ASK + code.length)) {
    vcpu.resume();
    await delay(1);
    vcpu.requestPause();
    if (!vcpu.waitParked(PATIENCE_MS)) throw new Error('the vCPU does not park');
  }
  const low = (value: bigint) => value & 0xffff_ffffn;
  return { rax: low(registerOf(vcpu, 'rax')), rbx: low(registerOf(vcpu, 'rbx')) };
}
