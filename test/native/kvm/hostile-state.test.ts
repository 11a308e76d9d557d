/** State of a peer's that the kernel does not take: refused as the peer's fault, and the machine takes the right one after it. */
import { describe, expect, it } from 'vitest';
import { readClocks } from '../../../src/machine/clocks.js';
import { restoreKvmState, saveKvmState } from '../../../src/machine/machine-state.js';
import { CHIPS, VCPU_STATES } from '../../../src/native.js';
import { createTinyVm } from '../tiny-vm.js';

const HLT = 0xf4;
const MSRS = Uint32Array.of(0x10, 0x1b);

function machine() {
  const { vm, vcpus } = createTinyVm([HLT]);
  const state = saveKvmState(vm, vcpus, MSRS, readClocks(vm, vcpus));
  return { vm, vcpus, state };
}

/** None of it, and a byte less or more. */
const otherSizes = ({ length }: Uint8Array) => [0, length - 1, length + 1].map((bytes) => new Uint8Array(bytes));
const badPeer = expect.objectContaining({ code: 'BAD_PEER' });

describe('state of another size than the kernel’s', () => {
  it.each(VCPU_STATES)('%s of a vCPU', (part) => {
    const { vm, vcpus, state } = machine();
    const [vcpu] = state.vcpus as [(typeof state.vcpus)[0]];
    for (const bytes of otherSizes(vcpu[part])) {
      expect(() => restoreKvmState(vm, vcpus, { ...state, vcpus: [{ ...vcpu, [part]: bytes }] })).toThrow(badPeer);
    }
    restoreKvmState(vm, vcpus, state);
  });

  it.each(CHIPS)('%s', (chip) => {
    const { vm, vcpus, state } = machine();
    for (const bytes of otherSizes(state.chips[chip])) {
      expect(() => restoreKvmState(vm, vcpus, { ...state, chips: { ...state.chips, [chip]: bytes } })).toThrow(badPeer);
    }
    restoreKvmState(vm, vcpus, state);
  });
});
