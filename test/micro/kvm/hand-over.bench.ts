/**
 * What a hand-over consists of, without devices: the sum of these, three ways over the link and six wake-ups of threads
 * is the least that a downtime can be.
 */
import { beforeAll } from 'vitest';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS } from '../../../src/memory/layout.js';
import { PAGE_SIZE } from '../../../src/memory/page-size.js';
import { encodeMessage, FrameDecoder } from '../../../src/migrate/wire/frame.js';
import { native, type NativeVcpu, type NativeVm } from '../../../src/native.js';
import { readClocks, startClocks } from '../../../src/machine/clocks.js';
import { restoreKvmState, saveKvmState, type KvmState } from '../../../src/machine/machine-state.js';
import { NOT_LISTED } from '../../../src/machine/vcpu-state.js';
import { closeLater, stage } from '../stage.js';
import { PATIENCE_MS } from '../workers.js';

const RAM_BYTES = 16 * PAGE_SIZE;
const FIRST_PAGES = 16;
const indices = Uint32Array.from([...native.kvmMsrIndices(), ...NOT_LISTED]);
let vm: NativeVm;
let vcpu: NativeVcpu;
let cpu: KvmState;
let frame: Uint8Array;

beforeAll(() => {
  const memory = closeLater(new native.GuestMemory(RAM_BYTES, 'anonymous'));
  vm = closeLater(new native.Vm());
  vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
  vm.setMemory(0, 0, memory, 0, RAM_BYTES);
  vcpu = new native.Vcpu(vm, 0);
  closeLater({ close: () => void vcpu.close(PATIENCE_MS) });
  vcpu.setCpuid(native.kvmSupportedCpuid());
  cpu = save();
  frame = encodeState();
});

function save(): KvmState {
  return saveKvmState(vm, [vcpu], indices, readClocks(vm, [vcpu]));
}

function encodeState(): Uint8Array {
  const firstPages = Array.from({ length: FIRST_PAGES }, (_, page) => page);
  const firstContent = new Uint8Array(FIRST_PAGES * PAGE_SIZE);
  return encodeMessage('state', {
    cpu,
    devices: {},
    ramMap: new Uint8Array(0),
    firstPages,
    firstContent,
    held: new Uint8Array(0),
    diskSamples: [],
  });
}

stage('hand-over: KVM state of a vCPU and its machine read', {
  run: () => void save(),
});

stage('hand-over: KVM state set', {
  run: () => restoreKvmState(vm, [vcpu], cpu),
});

stage('hand-over: clocks set', {
  run: () => startClocks(vm, [vcpu], cpu, native.monotonicMicros(), vcpu.getTscKhz()),
});

stage(`hand-over: STATE with ${FIRST_PAGES} pages encoded`, {
  run: () => void encodeState(),
});

stage(`hand-over: STATE with ${FIRST_PAGES} pages decoded and checked`, {
  run: () => void new FrameDecoder().push(frame),
});
