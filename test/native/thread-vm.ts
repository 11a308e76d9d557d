/** A machine of threads with 64 KiB at GUEST_BASE, whose vCPUs begin at CODE. */
import { GUEST_BASE } from '../../src/memory/layout.js';
import { native, type NativeVcpu } from '../../src/native.js';
import { RAX, register, RIP, withVcpus, type TinyVm } from './tiny-vm.js';

export const CODE = 0x1000;
export const BYTES = 64 * 1024;
const STACK_TOP = 0x8000;

/** Places in struct kvm_regs. */
export const AT = { rax: RAX, rbx: 8, rcx: 16, rdx: 24, rsi: 32, rdi: 40, rsp: 48, r15: 120, rip: RIP, rflags: 136 };
export type RegisterName = keyof typeof AT;

/** Linear address of a byte of guest RAM. */
export const at = (offset: number): bigint => BigInt(GUEST_BASE + offset);

/** `code`: machine instructions of every vCPU. */
export function createThreadVm(code: number[], cpus = 1): TinyVm {
  const memory = new native.GuestMemory(BYTES, 'threads');
  const vm = new native.Vm('threads', memory);
  memory.write(CODE, Uint8Array.from(code));
  const tiny = withVcpus(vm, memory, cpus);
  for (const vcpu of tiny.vcpus) setRegisters(vcpu, { rip: at(CODE), rsp: at(STACK_TOP), rflags: 0x202n });
  return tiny;
}

export function setRegisters(vcpu: NativeVcpu, values: Partial<Record<RegisterName, bigint>>): void {
  const regs = vcpu.getState('regs');
  const view = new DataView(regs.buffer, regs.byteOffset);
  for (const [name, value] of Object.entries(values)) view.setBigUint64(AT[name as RegisterName], value, true);
  vcpu.setState('regs', regs);
}

export const registerOf = (vcpu: NativeVcpu, name: RegisterName): bigint => register(vcpu, AT[name]);
