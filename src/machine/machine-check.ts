/**
 * Tells a guest of KVM that its host has lost a page of its RAM, as a processor would: by a machine check (Intel SDM vol. 3,
 * chapter 17) on the vCPU that was about to touch the page. The guest's kernel ends the program whose page it was, or itself.
 */
import { addressRegisters } from '../boot/cpu-registers.js';
import { viewOf } from '../memory/byte-view.js';
import type { NativeVcpu } from '../native.js';
import { decodeMsrs } from './msrs.js';

type Vcpu = Pick<NativeVcpu, 'getState' | 'getMsrs' | 'machineCheck'>;

/** struct kvm_x86_mce. */
const ERROR_BYTES = 64;
const ERROR = { status: 0, address: 8, misc: 16, mcgStatus: 24, bank: 32 } as const;

/** IA32_MCi_STATUS. */
const VALID = 1n << 63n;
const UNCORRECTED = 1n << 61n;
const ENABLED = 1n << 60n;
const MISC_VALID = 1n << 59n;
const ADDRESS_VALID = 1n << 58n;
const SIGNALED = 1n << 56n;
const ACTION_REQUIRED = 1n << 55n;
const DATA_LOAD = 0x134n;
const LOST = VALID | UNCORRECTED | ENABLED | MISC_VALID | ADDRESS_VALID | SIGNALED | ACTION_REQUIRED | DATA_LOAD;
/** IA32_MCi_MISC: the address is a physical one, known but for its low bits. */
const PHYSICAL = 2n << 6n;
const PAGE_BITS = 12n;
/** IA32_MCG_STATUS: the guest can go on with the instruction, which is the one that failed; the check is being handled. */
const RESTARTABLE = 1n;
const OF_INSTRUCTION = 2n;
const IN_PROGRESS = 4n;
const MSR_MCG_STATUS = 0x17a;
const CR4_MCE = 0x40n;

/** As hypervisors and Linux's own tests use them: bank 0 is another thing on old processors. */
const MEMORY_BANK = 9;
const OTHERS_BANK = 1;

/**
 * Of parked vCPUs. `broadcast`: the others are told that something is, as the guest's CPU would. False, and nothing told, of
 * a guest that takes no machine check now: it would be reset for one.
 */
export function tellLostPage(vcpus: readonly Vcpu[], index: number, guestAddress: number, broadcast: boolean): boolean {
  const vcpu = vcpus[index]!;
  if (!takesMachineChecks(vcpu) || !vcpu.machineCheck(lostPage(guestAddress))) return false;
  if (!broadcast) return true;
  for (const other of vcpus) if (other !== vcpu && takesMachineChecks(other)) other.machineCheck(somethingElsewhere());
  return true;
}

function takesMachineChecks(vcpu: Vcpu): boolean {
  const { cr4 } = addressRegisters(vcpu.getState('regs'), vcpu.getState('sregs'));
  const [status] = decodeMsrs(vcpu.getMsrs(Uint32Array.of(MSR_MCG_STATUS)));
  return (cr4 & CR4_MCE) !== 0n && status !== undefined && (status.value & IN_PROGRESS) === 0n;
}

function lostPage(guestAddress: number): Uint8Array {
  const error = encoded(MEMORY_BANK, LOST, IN_PROGRESS | RESTARTABLE | OF_INSTRUCTION);
  viewOf(error).setBigUint64(ERROR.address, BigInt(guestAddress), true);
  viewOf(error).setBigUint64(ERROR.misc, PHYSICAL | PAGE_BITS, true);
  return error;
}

function somethingElsewhere(): Uint8Array {
  return encoded(OTHERS_BANK, VALID | UNCORRECTED, IN_PROGRESS | RESTARTABLE);
}

function encoded(bank: number, status: bigint, mcgStatus: bigint): Uint8Array {
  const error = new Uint8Array(ERROR_BYTES);
  const view = viewOf(error);
  view.setBigUint64(ERROR.status, status, true);
  view.setBigUint64(ERROR.mcgStatus, mcgStatus, true);
  view.setUint8(ERROR.bank, bank);
  return error;
}
