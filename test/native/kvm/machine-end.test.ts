import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { native, type NativeVcpu } from '../../../src/native.js';
import type { DeviceLink } from '../../../src/machine/device-link.js';
import type { HostDevices } from '../../../src/host/host-devices.js';
import { kvmMachine } from '../../../src/machine/kvm-machine.js';
import { Machine } from '../../../src/machine/machine.js';
import { next, readable, startWorker } from '../threads.js';
import { CODE, RIP } from '../tiny-vm.js';

const PAGE = 4096;
const MEMORY_BYTES = 64 << 20;
const PAGES = MEMORY_BYTES / PAGE;
const MISSING = 8;
/** mov al, [0x8000]; jmp $. In user mode with interrupts on, KVM fetches the page in the background for any guest. */
const READS = [0x8a, 0x04, 0x25, 0x00, 0x80, 0x00, 0x00, 0xeb, 0xfe];
/** Of page tables that map the first 2 MiB to themselves, for user mode. */
const TABLES = 0x2000;
const TABLE_BITS = 7;
const HUGE_BIT = 0x80;
/** Long enough for every machine; behind it, a machine that does not end is helped, or it would stay for ever. */
const LIMIT_MS = 10_000;

const devices = { serve: async () => {}, close: async () => true } as unknown as DeviceLink;
const hostDevices = { backends: () => [], disks: { unanswered: () => [] } } as unknown as HostDevices;

/** Workers of the kernel that wait for a page that KVM wants. */
function kernelWaits(): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/stack`, 'latin1').includes('async_pf_execute');
    } catch {
      return false; // gone
    }
  });
}

/** The code, and page tables of three levels behind it. */
function firstPages(): Uint8Array {
  const pages = new Uint8Array(4 * PAGE);
  pages.set(READS);
  const entries = new DataView(pages.buffer);
  entries.setUint32(TABLES - CODE, (TABLES + PAGE) | TABLE_BITS, true);
  entries.setUint32(TABLES - CODE + PAGE, (TABLES + 2 * PAGE) | TABLE_BITS, true);
  entries.setUint32(TABLES - CODE + 2 * PAGE, TABLE_BITS | HUGE_BIT, true);
  return pages;
}

/** At CODE, in 64-bit mode at CPL 3, with interrupts on. Places are those of struct kvm_sregs and kvm_regs. */
function enterUserMode(vcpu: NativeVcpu): void {
  const bytes = vcpu.getState('sregs');
  const sregs = new DataView(bytes.buffer, bytes.byteOffset);
  segment(sregs, 0, { selector: 0x33, type: 11, long: 1 });
  for (const at of [24, 48, 72, 96, 120]) segment(sregs, at, { selector: 0x2b, type: 3, long: 0 });
  sregs.setBigUint64(224, 0x8005_0033n, true); // CR0: PG, AM, WP, NE, ET, MP, PE
  sregs.setBigUint64(240, BigInt(TABLES), true); // CR3
  sregs.setBigUint64(248, 0x20n, true); // CR4: PAE
  sregs.setBigUint64(264, 0x500n, true); // EFER: LMA, LME
  vcpu.setState('sregs', bytes);
  const general = vcpu.getState('regs');
  const regs = new DataView(general.buffer, general.byteOffset);
  regs.setBigUint64(RIP, BigInt(CODE), true);
  regs.setBigUint64(RIP + 8, 0x202n, true); // RFLAGS: IF
  vcpu.setState('regs', general);
}

function segment(sregs: DataView, at: number, { selector, type, long }: Record<'selector' | 'type' | 'long', number>) {
  sregs.setBigUint64(at, 0n, true);
  sregs.setUint32(at + 8, 0xffff_ffff, true);
  sregs.setUint16(at + 12, selector, true);
  // type, present, DPL, D, S, L, G, AVL, unusable
  [type, 1, 3, 1 - long, 1, long, 1, 0, 0].forEach((value, i) => sregs.setUint8(at + 14 + i, value));
}

it('a machine ends though a worker of the kernel waits for one of its pages', async () => {
  const cpuid = [native.kvmSupportedCpuid()];
  const lines = { serialFd: native.createEventFd(), consoleFd: native.createEventFd() };
  const machine = await Machine.create(kvmMachine, { memoryBytes: MEMORY_BYTES, cpuid }, lines, hostDevices, devices);
  const userfaultfd = new native.Userfaultfd(machine.memory);
  userfaultfd.register(0, PAGES, false);
  userfaultfd.copy(CODE / PAGE, 4, firstPages(), 0);
  const letGo = async () => {
    userfaultfd.unregister(0, PAGES);
    userfaultfd.close();
  };
  enterUserMode(machine.vcpus[0]!);
  machine.resume();
  await readable(userfaultfd.fd);
  const faults = new Uint32Array(4);
  expect([...faults.subarray(0, userfaultfd.readFaults(faults))]).toEqual([MISSING]);
  await expect.poll(kernelWaits).toBe(true);
  const helper = startWorker(
    `const userfaultfd = new native.Userfaultfd(null, data.handle);
     setTimeout(() => userfaultfd.unregister(0, data.pages), data.ms);
     post('there');`,
    { handle: userfaultfd.handle, pages: PAGES, ms: LIMIT_MS },
  );
  await next(helper);
  machine.comingPages = { letGo };
  const began = performance.now();
  expect(await machine.close()).toBe(true);
  expect(performance.now() - began).toBeLessThan(LIMIT_MS / 2);
  await helper.terminate();
  expect(kernelWaits()).toBe(false);
});
