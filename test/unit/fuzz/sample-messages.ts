/** A message of every type, whole and right, to be spoilt. */
import type { z } from 'zod';
import { MESSAGES, type Body, type MessageType } from '../../../src/migrate/wire/message.js';

const part = Uint8Array.of(1, 2, 3);
const [regs, sregs, debugregs, xcrs, xsave, mpState, vcpuEvents, lapic, msrs] = Array<Uint8Array>(9).fill(part);
const vcpu = { regs, sregs, debugregs, xcrs, xsave, mpState, vcpuEvents, lapic, msrs };
const waits = { count: 3, mean: 1.5, p50: 1, p90: 2, p99: 3, max: 3 };
const complete = { faultWaitUs: waits, vcpuBlockedMs: 0.5, peakBytes: 1, overheadBytes: 0 };

const hello = {
  ...{ release: '0.1.0', name: 'vm', epoch: 1, machine: 'kvm', bootId: '0f6b3b5e', memoryBytes: 2 ** 30 },
  ...{ cpuid: [new Uint8Array(80), new Uint8Array(80)], constantMsrs: new Uint8Array(32) },
  ...{ tscKhz: 2_000_000, xsaveBytes: 4096, cmdline: 'console=ttyS0', reboot: true },
  files: [{ role: 'kernel', path: '/boot/vmlinuz', bytes: 5, sha256: 'a'.repeat(64) }],
  devices: [
    { kind: 'console' },
    { kind: 'block', id: 'root', path: '/srv/root.img', readonly: false, bytes: 2 ** 30 },
    { kind: 'net', id: 'net0', mac: '52:54:00:00:00:01', mtu: 9000 },
  ],
  ...{ bulkChannels: 1, prefetch: 'in-order', features: ['one'], mode: 'hybrid' },
} as const;

const state = {
  cpu: {
    machine: 'kvm',
    vcpus: [vcpu],
    chips: { picMaster: part, picSlave: part, ioapic: part, pit: part },
    clock: part,
  },
  devices: { serial: { lcr: 3 } },
  ...{ ramMap: part, held: part, firstPages: [3, 2 ** 31], firstContent: part },
  diskSamples: [{ id: 'root', offsets: [0, 4096], hash: part }],
} as const;

/** As they may be sent; the schemas add what has a default. */
const SENT: { [T in MessageType]: unknown[] } = {
  hello: [hello],
  accept: [{ features: ['one'] }],
  refuse: [{ reasons: ['too small'] }],
  state: [state, { ...state, cpu: { machine: 'threads', vcpus: [{ regs: part, xsave: part }] } }],
  loaded: [{ afterMicros: 310.5 }],
  commit: [{ epoch: 2, sinceClockMicros: 1234.5, clocksAtMicros: 5, wallClockMs: 1e12 }],
  running: [{ afterMicros: 88.25 }],
  progress: [{ pagesInstalled: 7, faultsWaiting: 0 }],
  complete: [complete],
  bye: [{}],
  ping: [{ sentAt: 0.5 }],
  pong: [{ sentAt: 1 }],
  abort: [{ reason: 'no' }],
  ram: [{ ramMap: part }],
  lost: [{ reason: 'short' }],
  output: [{ serial: part, virtio: part }],
  standing: [
    { is: 'never-ran' },
    { is: 'runs', missing: part },
    { is: 'whole', complete },
    { is: 'lost', reason: 'short' },
  ],
  pushing: [{}],
  copying: [{}],
};

export interface Sample<T extends MessageType = MessageType> {
  type: T;
  body: Body<T>;
}

export const SAMPLES: readonly Sample[] = (Object.keys(SENT) as MessageType[]).flatMap((type) =>
  SENT[type].map((sent) => ({ type, body: (MESSAGES[type].body as z.ZodType).parse(sent) as Body<MessageType> })),
);
