/** A machine of 64 KiB whose vCPUs begin in real mode at CODE, with all segments at 0. */
import { onTestFinished } from 'vitest';
import { KVM_IDENTITY_MAP_ADDRESS, KVM_TSS_ADDRESS } from '../../src/memory/layout.js';
import { native, type ExitQueue, type NativeMemory, type NativeVcpu, type NativeVm } from '../../src/native.js';
import { PATIENCE_MS, readable } from './threads.js';

export const CODE = 0x1000;
const BYTES = 64 * 1024;
/** Places in struct kvm_regs. */
export const RAX = 0;
export const RIP = 128;
const RFLAGS = 136;
/** struct kvm_segment: base, limit, selector. */
const SEGMENT_BYTES = 24;
const SEGMENTS = 6;

export interface TinyVm {
  memory: NativeMemory;
  vm: NativeVm;
  vcpus: NativeVcpu[];
  exits: ExitQueue;
}

/** `code`: machine instructions of the first vCPU. */
export function createTinyVm(code: number[], cpus = 1): TinyVm {
  const memory = new native.GuestMemory(BYTES, 'anonymous');
  const vm = new native.Vm();
  vm.createIrqchip(KVM_TSS_ADDRESS, KVM_IDENTITY_MAP_ADDRESS);
  vm.setMemory(0, 0, memory, 0, BYTES);
  memory.write(CODE, Uint8Array.from(code));
  const tiny = withVcpus(vm, memory, cpus);
  tiny.vcpus[0]!.setCpuid(native.kvmSupportedCpuid());
  beginAt(tiny.vcpus[0]!, CODE);
  return tiny;
}

/** The vCPUs of a VM of either kind; all of it goes when the test is over. */
export function withVcpus(vm: NativeVm, memory: NativeMemory, cpus: number): TinyVm {
  const vcpus = Array.from({ length: cpus }, (_, index) => new native.Vcpu(vm, index));
  onTestFinished(() => {
    // First the VM, which lets vCPUs go that wait for an answer.
    vm.close();
    for (const vcpu of vcpus) if (!vcpu.close(PATIENCE_MS)) throw new Error('a vCPU did not end');
    memory.close();
  });
  return { memory, vm, vcpus, exits: new native.ExitQueue(null, vm.exitQueueHandle) };
}

export function beginAt(vcpu: NativeVcpu, address: number): void {
  const sregs = vcpu.getState('sregs');
  for (let segment = 0; segment < SEGMENTS; segment++) {
    new DataView(sregs.buffer).setBigUint64(segment * SEGMENT_BYTES, 0n, true);
    new DataView(sregs.buffer).setUint16(segment * SEGMENT_BYTES + 12, 0, true);
  }
  vcpu.setState('sregs', sregs);
  const regs = vcpu.getState('regs');
  const view = new DataView(regs.buffer);
  view.setBigUint64(RIP, BigInt(address), true);
  view.setBigUint64(RFLAGS, 2n, true);
  vcpu.setState('regs', regs);
}

export function register(vcpu: NativeVcpu, at: number): bigint {
  const regs = vcpu.getState('regs');
  return new DataView(regs.buffer, regs.byteOffset).getBigUint64(at, true);
}

export interface Exit {
  vcpu: number;
  kind: number;
  isWrite: boolean;
  size: number;
  address: number;
  data: bigint;
}

/** Waits for exits; all that there are. */
export async function takeExits(exits: ExitQueue): Promise<Exit[]> {
  await readable(exits.fd, exits.postedFd);
  const records = new Uint8Array(32 * 16);
  const view = new DataView(records.buffer);
  return Array.from({ length: exits.take(records) }, (_, i) => ({
    vcpu: view.getUint32(i * 32, true),
    kind: view.getUint32(i * 32 + 4, true),
    isWrite: view.getUint32(i * 32 + 8, true) !== 0,
    size: view.getUint32(i * 32 + 12, true),
    address: Number(view.getBigUint64(i * 32 + 16, true)),
    data: view.getBigUint64(i * 32 + 24, true),
  }));
}
